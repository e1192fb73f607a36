"""Pages: a preview's JSON as text that people read elsewhere: HTML, Markdown. Pure: no I/O but its own templates."""
