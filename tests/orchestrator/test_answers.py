"""The answers file: read, written, kept as a person left it; what is wrong in it is named."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.answers import read_answers, write_answers
from orchestrator.errors import UsageError

ids = st.builds("rename:column:public.{}".format, st.text(min_size=1))


def test_no_file_is_no_answer(tmp_path: Path) -> None:
    assert read_answers(tmp_path / "none.toml") == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(ids, st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_is_written_is_read(tmp_path: Path, answers: dict[str, str]) -> None:
    file = tmp_path / "answers.toml"
    file.unlink(missing_ok=True)
    answers = {key: value for key, value in answers.items() if key.isprintable() or key}
    try:
        write_answers(file, answers)
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    assert read_answers(file) == answers
    assert write_answers(file, answers) is False


def test_comments_and_order_stay(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(
        '# ours\n[answers]\n# the old name\n"rename:column:public.t.b" = "a"\n"fill:public.t.c" = "0"\n'
    )
    assert write_answers(file, {"rename:column:public.t.b": "-", "fill:public.t.a": "'x'"})
    assert file.read_text() == (
        '# ours\n[answers]\n# the old name\n"rename:column:public.t.b" = "-"\n"fill:public.t.c" = "0"\n'
        '"fill:public.t.a" = "\'x\'"\n'
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("answers = 3", "answers is not known"),
        ("[answer]", "answer is not known"),
        ('[answers]\n"renam:x" = "y"', "'renam:x' is no question's id"),
        ('[answers]\n"fill:public.t.c" = 0', "the answer to fill:public.t.c is not a text"),
        ("[answers", "is not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_answers(file)
    assert said in refused.value.message
    assert str(file) in refused.value.message
    assert refused.value.hint
