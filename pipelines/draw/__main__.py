"""Draw pictures from a prompt with the models of a finished run.

`python -m pipelines.draw "a small green star" --root runs/demo -n 16 --top 4`

With --complete it goes on where the top rows of a picture end. With --interactive it keeps the
models loaded and asks for prompts; with --server it is a web page.
In Python: `TextToImage("runs/demo").draw("a small green star", n=16)[0].image.save("star.png")`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.command import complain, program
from pipelines.draw import interactive
from pipelines.draw.draw_request import SAMPLING, DrawRequest
from pipelines.draw.proxy import proxy_of
from pipelines.draw.text_to_image import TextToImage
from schemas.errors import ConfigError, UserError


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    line = argparse.ArgumentParser(prog="python -m pipelines.draw", description=__doc__)
    line.add_argument("prompt", nargs="?", help="what to draw")
    line.add_argument("--root", default="runs/demo", help="of a finished run (runs/demo)")
    line.add_argument("-n", type=int, default=16, metavar="N", help="candidates to draw (16)")
    line.add_argument("--top", type=int, default=4, metavar="K", help="best ones to show (4)")
    line.add_argument("--seed", type=int, default=0, help="another one, other pictures (0)")
    line.add_argument("--out", type=Path, metavar="FILE", help="sheet (PROMPT-SEED.png)")
    line.add_argument("--gpu", action="store_true", help="compute on the GPU")
    line.add_argument("--complete", metavar="PICTURE", help="go on where its top rows end")
    line.add_argument("--rows", type=int, metavar="R", help="of codes, given (15 of 32 and alike)")
    how = line.add_argument_group("how codes are drawn (as in the run's own samples)")
    how.add_argument("--temperature", type=float, metavar="T", help="1 as learned, 0.5 tamer")
    how.add_argument("--top-k", type=int, metavar="K", help="the likeliest codes only; 0 for all")
    how.add_argument("--top-p", type=float, metavar="P", help="the likeliest of this probability")
    how.add_argument("--guidance", type=float, metavar="G", help="above 1: closer to the prompt")
    many = line.add_mutually_exclusive_group()
    many.add_argument("--interactive", action="store_true", help="ask for prompts, one after one")
    many.add_argument("--server", action="store_true", help="serve a page with a prompt box")
    line.add_argument("--host", default="127.0.0.1", help="where the page is (127.0.0.1)")
    line.add_argument("--port", type=int, default=8000, help="of the page (8000)")
    line.add_argument("--root-path", metavar="PATH", help="that a proxy leaves before the page's")
    line.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN",
                      help="where a proxy shows the page, as https://draw.example.org")  # fmt: skip
    return line


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, write the sheet and print its path; return the exit code."""
    args = parser().parse_args(argv)
    try:
        if args.server:
            _refuse_beside("--server", args)
            _refuse_settings(args)
            proxy = proxy_of(args.root_path, args.allow_origin)
            from pipelines.draw.server import serve  # which brings Ray

            serve(args.root, args.host, args.port, gpu=args.gpu, proxy=proxy)
        elif args.root_path or args.allow_origin:
            raise ConfigError("--root-path and --allow-origin are of the page: wanted --server too")
        elif args.interactive:
            _refuse_beside("--interactive", args)
            settings = _wish(args, "any").model_dump(exclude={"prompt"})
            well = interactive.ask(TextToImage(args.root, gpu=args.gpu), settings)
            return 0 if well or sys.stdin.isatty() else 2  # a list of prompts went wrong in parts
        elif args.prompt is None:
            raise ConfigError("wanted a prompt, found none; give one, or --interactive or --server")
        elif args.rows is not None and args.complete is None:
            raise ConfigError("--rows is of a picture: wanted --complete PICTURE, found none")
        else:
            wish = _wish(args, args.prompt)
            pipeline = TextToImage(args.root, gpu=args.gpu)
            wish = pipeline.settled(wish)
            given = pipeline.given(args.complete, args.rows) if args.complete else None
            for sentence in pipeline.cut(wish):
                print(sentence, file=sys.stderr)
            _, out = interactive.draw(pipeline, wish, given, args.out)
            print(out)
    except UserError as error:
        complain(error)
        return 2
    return 0


def _wish(args: argparse.Namespace, prompt: str) -> DrawRequest:
    return DrawRequest.of(
        prompt=prompt,
        candidates=args.n,
        top=args.top,
        seed=args.seed,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        guidance=args.guidance,
    )


def _refuse_settings(args: argparse.Namespace) -> None:
    names = ("n", "top", "seed", *SAMPLING)
    told = [name for name in names if getattr(args, name) != parser().get_default(name)]
    if told:
        flag = "-n" if told[0] == "n" else f"--{told[0].replace('_', '-')}"
        raise ConfigError(f"--server: the page has a field for {flag}; leave it out here")


def _refuse_beside(flag: str, args: argparse.Namespace) -> None:
    beside = {
        "a prompt": args.prompt, "--out": args.out, "--complete": args.complete,
        "--rows": args.rows,
    }  # fmt: skip
    for name, value in beside.items():
        if value is not None:
            raise ConfigError(
                f"{flag} asks for prompts and names files by itself, found {name} too"
            )


if __name__ == "__main__":
    sys.exit(program(main))
