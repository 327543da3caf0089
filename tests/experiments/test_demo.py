"""`make demo`: what it prints fits a terminal of 80 columns, and it writes into its own folder only."""

import json
from types import SimpleNamespace

from rich.console import Console
from rich.markdown import Markdown

from experiments import demo


def test_the_table_fits_80_columns(tmp_path):
    folders = [tmp_path / method for method in ("iq", "bc")]
    for folder in folders:
        folder.mkdir()
        summary = {
            "method": folder.name, "env": "CartPole-v1", "seeds": list(range(8)), "setting": "offline",
            "returns": [387.5, *[487.5] * 7], "random_return": 22.0, "expert_return": 500.0,
            "likeness": [0.875] * 8, "demo_trajectories": 1, "demo_transitions": 500, "updates": 30_000,
            "wall_seconds": 1234.0,
        }  # fmt: skip
        (folder / "summary.json").write_text(json.dumps(summary))
    console = Console(width=80)
    with console.capture() as captured:
        console.print(Markdown(demo.summary(folders)))
    lines = [line.strip() for line in captured.get().splitlines()]
    assert sum(line.startswith("IQ-Learn") and line.endswith("1,234") for line in lines) == 1
    assert sum(line.startswith("method") and line.endswith("seconds") for line in lines) == 1


def test_nothing_is_written_but_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "runs")
    monkeypatch.setattr(demo, "load", lambda folder: SimpleNamespace(policy=lambda: asked.append("policy")))
    monkeypatch.setattr(demo, "film", lambda path, policy, env: asked.append(path))
    monkeypatch.setattr(demo, "summary", lambda folders: "")
    asked = []
    monkeypatch.setattr(demo, "train", lambda config, folder: asked.append((config.seeds, folder)))
    monkeypatch.setattr(demo, "write_report", lambda folders, out: asked.append((folders, out)))
    demo.main()
    folders = [tmp_path / "runs" / name for name in demo.METHODS]
    filmed = ["policy", folders[0] / "rollout.gif"]
    assert asked == [*((demo.SEEDS, folder) for folder in folders), *filmed, (folders, tmp_path / "runs")]
