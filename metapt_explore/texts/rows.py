"""What is put to a model: a text, or a text with a second one."""

TextInput = str | tuple[str, str]
