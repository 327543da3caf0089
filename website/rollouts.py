"""Recorded pairs of episodes (docs/results/rollouts) as players: expert and learner on one clock."""

import json
from html import escape
from pathlib import Path
from typing import Any

PLAYED = ("scene", "step_seconds", "static", "expert", "learner")
KEYS = (*PLAYED, "title", "seed", "returns", "expert_return", "random_return", "updates", "provenance")


def player(path: Path) -> str:
    """The figure of one recording, with its data inside.

    Raises:
      ValueError: the file lacks what a player needs.
    """
    rollout = json.loads(path.read_text("utf-8"))
    missing = [key for key in KEYS if key not in rollout]
    if missing:
        raise ValueError(
            f"{path.name} lacks {', '.join(missing)}; record it again: python -m experiments.studies.rollouts"
        )
    scenes = "".join(_scene(rollout, who) for who in ("expert", "learner"))
    data = f'<script type="application/json">{embedded(rollout)}</script>'
    return (
        f'<figure class="player" markdown="0"><div class="scenes">{scenes}</div>{CONTROLS}'
        f"{_caption(rollout)}{data}</figure>"
    )


def embedded(rollout: dict[str, Any]) -> str:
    """What the player's script reads, safe inside a <script> element."""
    text = json.dumps({key: rollout[key] for key in PLAYED}, separators=(",", ":"), ensure_ascii=False)
    return text.replace("</", "<\\/")


CONTROLS = (
    '<div class="controls"><button type="button" data-play aria-pressed="false">Play</button>'
    '<input type="range" min="0" value="0" step="1" data-scrub aria-label="Step">'
    '<label>Speed <select data-speed><option value="0.5">½</option><option value="1" selected>1</option>'
    '<option value="2">2</option><option value="4">4</option></select></label></div>'
)


def _scene(rollout: dict[str, Any], who: str) -> str:
    side, word = rollout[who], who.capitalize()
    read = f"{len(side['rewards'])} steps, return {sum(side['rewards']):.4g}"
    said = escape(f"{word} on {rollout['title']}: {read}, ended by {side['ended']}")
    return (
        f'<div><p class="who"><b>{word}</b> <span data-read="{who}">{read}</span></p>'
        f'<canvas data-who="{who}" role="img" aria-label="{said}"></canvas></div>'
    )


def _caption(rollout: dict[str, Any]) -> str:
    made = rollout["provenance"]
    returns = " ".join(f"{value:,.4g}" for value in rollout["returns"])
    text = (
        f"{rollout['title']}: seed {rollout['seed']} after {rollout['updates']:,} updates. Final returns of "
        f"all seeds: {returns}; the expert's {rollout['expert_return']:,.4g}, random "
        f"{rollout['random_return']:,.4g}. Commit {str(made.get('commit', '–'))[:8]}."
    )
    return f"<figcaption>{escape(text)}</figcaption>"
