"""A Jupyter notebook as Markdown: cells, and what they printed and drew when it was saved."""

import json
from pathlib import Path


def markdown_of(path: Path) -> str:
    """The notebook's Markdown; outputs are text, or pictures inside the page."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell))


def code_of(path: Path) -> list[str]:
    """Source of the code cells, in order."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def _cell(cell: dict) -> list[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [text]
    return [f"```python\n{text}\n```", *(_output(output) for output in cell["outputs"])]


def _output(output: dict) -> str:
    if "text" in output:
        return f"```text\n{''.join(output['text']).rstrip()}\n```"
    data = output["data"]
    if "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        return f'<img alt="What the cell drew" src="data:image/png;base64,{picture}">'
    return f"```text\n{''.join(data['text/plain']).rstrip()}\n```"
