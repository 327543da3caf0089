"""`iqlearn completion bash | zsh | fish`: a script that completes commands, options, config names and keys.

The scripts are made from the table of commands, from what the commands say in their `--help`, and from the
table of keys; they start no Python when a key is pressed.
"""

import io
import re
from contextlib import redirect_stdout, suppress

from iqlearn_jax.cli import commands
from iqlearn_jax.cli.common import Parser

HELP = "a script of completions for bash, zsh or fish"
OPTION = re.compile(r"^ +(?:-\w, )?(--[a-z-]+)( [A-Z{])?", re.MULTILINE)

# A word as typed may hold = and :, at which bash has cut it up already: it takes back what follows the last.
BASH = """_iqlearn() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" typed="" word words candidates
  read -ra words <<< "$line"
  [[ "$line" == *" " ]] && words+=("")
  local last=$((${{#words[@]}} - 1))
  local current="${{words[$last]}}"
  for word in "${{words[@]:1:$((last - 1))}}"; do [[ "$word" == -* ]] || typed+=" $word"; done
{cases}
  COMPREPLY=($(compgen -W "${{candidates[*]}}" -- "$current"))
  [[ "${{COMPREPLY[*]}}" == *= ]] && compopt -o nospace 2> /dev/null
  COMPREPLY=("${{COMPREPLY[@]#"${{current%"${{current##*[=:]}}"}}"}}")
}}
complete -o default -F _iqlearn iqlearn"""

ZSH = """#compdef iqlearn
_iqlearn() {{
  local typed="" word
  local -a candidates
  for word in ${{words[2,CURRENT-1]}}; do [[ "$word" == -* ]] || typed+=" $word"; done
{cases}
  compadd -S '' -- ${{(M)candidates:#*=}}
  compadd -- ${{candidates:#*=}}
  compset -P '*='
  _files
}}
compdef _iqlearn iqlearn"""

FISH = """function __iqlearn_at
  set -l words (commandline -opc)
  set -e words[1]
  set -l typed (string match -v -- '-*' $words)
  string match -q -- $argv[1] "$typed"
end
{lines}"""


def _bash() -> str:
    return BASH.format(cases=_cases())


def _zsh() -> str:
    return ZSH.format(cases=_cases())


def _fish() -> str:
    lines = []
    for typed, words in candidates().items():
        words = [word for word in words if word]
        lines.append(f"complete -c iqlearn -n \"__iqlearn_at '{typed}'\" -a '{' '.join(words)}'")
    return FISH.format(lines="\n".join(lines))


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}


def main(arguments: list[str]) -> int:
    """Runs `iqlearn completion ARGUMENTS`; returns the exit code.

    Raises:
      InputError: another shell.
    """
    parser = Parser("iqlearn completion", description=f"{HELP}; docs/command_line.md says where to put it")
    parser.add_argument("shell", choices=SHELLS)
    print(SHELLS[parser.parse_args(arguments).shell]())
    return 0


def candidates() -> dict[str, list[str]]:
    """What may come next, by the words before it that are no options; `*` stands for any further ones."""
    from iqlearn_jax.config.schema import KEYS

    table = {"": [*commands.COMMANDS, "--help", "--version"]}
    for name in commands.COMMANDS:
        members = getattr(commands.command(name), "COMMANDS", {})
        if members:
            table[name] = [*members, "--help"]
        paths: list[tuple[str, ...]] = [(name, member) for member in members] or [(name,)]
        for path in paths:
            table[f"{' '.join(path)}*"] = options_of(*path)
    keys = [f"--config.{key}=" for key in KEYS]
    configs = [f"--config={name}" for name in _config_names()]
    table["train*"] += configs + keys
    table["sweep*"] += configs + keys + [f"--grid={key}=" for key in KEYS]
    table["completion*"] += SHELLS
    return table


def options_of(name: str, *rest: str) -> list[str]:
    """The options that a command lists in its help; those that take a value end in "="."""
    text = io.StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        commands.command(name).main([*rest, "--help"])
    options = OPTION.findall(text.getvalue())
    return list(dict.fromkeys(option + ("=" if value else "") for option, value in options))


def _config_names() -> list[str]:
    from iqlearn_jax.cli.list import all_configs

    return list(all_configs())


def _cases() -> str:
    """A `case` of bash and zsh: what was typed comes with a blank before each word."""
    lines = ['  case "$typed" in']
    for typed, words in candidates().items():
        name = typed.removesuffix("*")
        pattern = f'" {name}"*' if typed.endswith("*") else f'" {name}"' if name else '""'
        lines.append(f"    {pattern}) candidates=({' '.join(words)}) ;;")
    return "\n".join([*lines, "    *) candidates=() ;;", "  esac"])
