"""Draw pictures from a prompt with the models of a finished run.

`python -m pipelines.draw "a small green star" --root runs/demo -n 16 --top 4`

writes a sheet of the best candidates and prints its path. --complete draws the
rest of a picture whose top rows are given. --interactive keeps the models
loaded and asks for prompts; --server serves a web page. In Python:

`TextToImage("runs/demo").draw("a star", n=16)[0].image.save("star.png")`
"""

import argparse
import sys
from pathlib import Path

from pipelines.command import arguments, command, program
from pipelines.draw.draw_request import DrawRequest
from pipelines.draw.interactive import draw_sheet, run_interactive
from pipelines.draw.proxy import proxy_of
from pipelines.draw.text_to_image import TextToImage
from schemas.errors import ConfigError
from stages.models.sampling import SamplingParams


def parser() -> argparse.ArgumentParser:
    line = arguments("draw", __doc__)
    add = line.add_argument
    add("prompt", nargs="?", help="what to draw")
    add("--root", default="runs/demo", help="directory of a finished run (runs/demo)")
    add("-n", type=int, default=16, metavar="N", help="candidates to draw (16)")
    add("--top", type=int, default=4, metavar="K", help="best candidates to put on the sheet (4)")
    add("--seed", type=int, default=0, help="random seed (0)")
    add("--out", type=Path, metavar="FILE", help="file of the sheet (PROMPT-SEED.png)")
    add("--gpu", action="store_true", help="compute on the GPU")
    add("--complete", metavar="PICTURE", help="keep the top of this picture and draw the rest")
    add("--rows", type=int, metavar="R", help="rows of codes to keep (of 32, 15 by default)")
    add = line.add_argument_group("sampling parameters (default: those of the run)").add_argument
    add("--temperature", type=float, metavar="T", help="below 1: likelier codes more often")
    add("--top-k", type=int, metavar="K", help="only the K likeliest codes; 0 for all")
    add("--top-p", type=float, metavar="P", help="only the likeliest codes, up to probability P")
    add("--guidance", type=float, metavar="G", help="above 1: closer to the prompt")
    add = line.add_mutually_exclusive_group().add_argument
    add("--interactive", action="store_true", help="ask for one prompt after another")
    add("--server", action="store_true", help="serve a web page")
    add = line.add_argument_group("web page").add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=8000, help="port to listen on (8000)")
    add("--root-path", metavar="PATH", help="path prefix of the requests that a proxy passes on")
    origin = "where a proxy shows the page, such as https://draw.example.org"
    add("--allow-origin", action="append", default=[], metavar="ORIGIN", help=origin)
    return line


@command(parser)
def main(args: argparse.Namespace) -> int:
    """Draw, write the sheet and print its path; return the exit code."""
    if args.server:
        _refuse_beside("--server", args)
        _refuse_settings(args)
        proxy = proxy_of(args.root_path, args.allow_origin)
        from pipelines.draw.server import serve  # imports Ray

        serve(args.root, args.host, args.port, gpu=args.gpu, proxy=proxy)
    elif args.root_path or args.allow_origin:
        raise ConfigError("--root-path and --allow-origin are for the page: wanted --server too")
    elif args.interactive:
        _refuse_beside("--interactive", args)
        settings = _request(args, "any").model_dump(exclude={"prompt"})
        well = run_interactive(TextToImage(args.root, gpu=args.gpu), settings)
        return 0 if well or sys.stdin.isatty() else 2  # a list of prompts in which some failed
    elif args.prompt is None:
        raise ConfigError("wanted a prompt, found none; give one, or --interactive or --server")
    elif args.rows is not None and args.complete is None:
        raise ConfigError("--rows is for a picture: wanted --complete PICTURE, found none")
    else:
        request = _request(args, args.prompt)
        pipeline = TextToImage(args.root, gpu=args.gpu)
        request = pipeline.resolve(request)
        given = pipeline.image_prompt(args.complete, args.rows) if args.complete else None
        for sentence in pipeline.truncations(request):
            print(sentence, file=sys.stderr)
        _, out = draw_sheet(pipeline, request, given, args.out)
        print(out)
    return 0


def _request(args: argparse.Namespace, prompt: str) -> DrawRequest:
    values = {name: getattr(args, name) for name in ("top", "seed", *SamplingParams._fields)}
    return DrawRequest.of(prompt=prompt, candidates=args.n, **values)


def _refuse_settings(args: argparse.Namespace) -> None:
    for name in ("n", "top", "seed", *SamplingParams._fields):
        if getattr(args, name) != parser().get_default(name):
            flag = "-n" if name == "n" else f"--{name.replace('_', '-')}"
            raise ConfigError(f"--server: the page has a field for {flag}; leave it out here")


def _refuse_beside(flag: str, args: argparse.Namespace) -> None:
    for name in ("prompt", "out", "complete", "rows"):
        if getattr(args, name) is not None:
            found = "a prompt" if name == "prompt" else f"--{name}"
            raise ConfigError(
                f"{flag} asks for prompts and names files by itself, found {found} too"
            )


if __name__ == "__main__":
    sys.exit(program(main))
