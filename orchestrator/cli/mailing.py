"""The command that shows what a preview would have mailed: `preview mail`. Verb to render only."""

from typing import Annotated

import typer

from orchestrator.cli.given import AsJson, Name, assembled


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="mail")(mail)


def mail(
    name: Name,
    mail_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this one, whole.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the mails that a preview sent to its sink; nobody else got them."""
    from orchestrator.cli import render

    with render.Progress() as progress, assembled(progress) as rooms:
        preview = rooms.controller.mine(name)
        if mail_id is not None:
            whole = rooms.mailbox.source(preview, mail_id)
            render.result_json({"id": mail_id, "source": whole}) if as_json else render.result(whole)
            return
        found = rooms.mailbox.mails(preview)
    if as_json:
        render.result_json(found)
    elif not found:
        render.console().print(
            f"no mails; the app of {name} finds the sink by SMTP_HOST and SMTP_PORT", markup=False
        )
    for each in () if as_json else found:
        at = each["at"][:19].replace("T", " ")
        render.result(f"{each['id']}  {at}  to {', '.join(each['recipients'])}  {each['subject']}")
