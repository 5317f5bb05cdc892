"""Named settings. Only sizes differ; the code path is one."""

from collections.abc import Callable

from schemas.configs import (
    ClipSettings,
    CrawlSettings,
    DvaeSettings,
    EncodeSettings,
    EvaluateSettings,
    FilterSettings,
    FitSettings,
    PriorSettings,
    PromptSettings,
    SampleSettings,
    Settings,
    SourceSettings,
    TokenSpec,
    WorldSettings,
)


def tiny() -> Settings:
    """Every stage for real in under 90 seconds on two cores; draws nothing worth looking at."""
    short = {"lr_end": 1e-4, "ema_share": 0.1, "log_every": 10}
    return Settings(
        tokens=TokenSpec(text_vocab=320, text_len=16, image_vocab=32, grid=2),
        crawl=CrawlSettings(
            source=SourceSettings(kind="world", world=WorldSettings(pictures=120, prompts=4)),
            rows_per_shard=40,
            timeout_seconds=1.0,
            retries=0,
        ),
        filter=FilterSettings(validation_share=0.2, buckets=2, near_bits=None),
        dvae=DvaeSettings(
            width=4,
            blocks=1,
            codebook_width=8,
            beta_ramp_share=0.1,
            temperature_share=0.7,
            fit=FitSettings(
                steps=20, batch_size=8, lr=1e-3, save_every=10, validate_every=10, **short
            ),
        ),
        encode=EncodeSettings(
            min_codes_used=1,
            min_perplexity=1.0,
            min_psnr_db=0.0,
            max_psnr_gap_db=100.0,
            rows_per_shard=64,
            tile=8,
        ),
        prior=PriorSettings(
            layers=4,
            heads=2,
            head_dim=8,
            conv_kernel=3,
            caption_dropout=0.1,
            fit=FitSettings(
                steps=20, batch_size=8, lr=3e-3, save_every=10, validate_every=10, **short
            ),
        ),
        clip=ClipSettings(
            width=16,
            layers=1,
            heads=2,
            patch=8,
            projection=16,
            text_len=18,
            fit=FitSettings(
                steps=20, batch_size=16, lr=1e-3, save_every=10, validate_every=10, **short
            ),
        ),
        sample=SampleSettings(
            prompts=PromptSettings(kind="world"),
            candidates=4,
            keep=2,
            guidance=1.5,
            tile=4,
            prompts_per_shard=4,
        ),
        evaluate=EvaluateSettings(judge="shapes", pictures=24),
    )


def demo() -> Settings:
    """The built-in world on two CPU cores, in minutes.

    Schedules are longer shares of these short runs than of the paper's, and batches small: what
    counts here is the number of updates.
    """
    return Settings(
        tokens=TokenSpec(text_vocab=512, text_len=16, image_vocab=256, grid=12),
        crawl=CrawlSettings(
            source=SourceSettings(kind="world"),
            rows_per_shard=500,
            timeout_seconds=2.0,
            retries=0,
            workers=2,
        ),
        # Its pictures differ by less than photographs, and its captions are few.
        filter=FilterSettings(
            max_caption_pictures=None,
            near_bits=None,
            validation_share=0.1,
            buckets=4,
            workers=2,
        ),
        dvae=DvaeSettings(
            width=16,
            blocks=1,
            codebook_width=64,
            beta_ramp_share=0.1,
            temperature_end=0.3,
            temperature_share=1.0,
            fit=FitSettings(
                steps=3_000,
                batch_size=4,
                lr=2e-3,
                lr_end=1e-4,
                beta2=0.99,
                weight_decay=1e-4,
                clip_norm=1.0,
                ema_share=0.02,
                precision="auto",
                save_every=500,
                validate_every=1_000,
            ),
        ),
        encode=EncodeSettings(
            rows_per_shard=1_024,
            min_codes_used=48,
            min_perplexity=24.0,
            tile=32,
            workers=2,
            threads=1,
        ),
        prior=PriorSettings(
            layers=3,
            heads=8,
            head_dim=16,
            conv_kernel=11,
            bpe_dropout=0.0,
            caption_dropout=0.1,
            fit=FitSettings(
                steps=3_000,
                batch_size=16,
                lr=2e-3,
                lr_end=6e-5,
                warmup_share=0.05,
                beta2=0.96,
                weight_decay=1.0,
                variance_clip=5.0,
                clip_norm=4.0,
                ema_share=0.05,
                precision="auto",
                save_every=500,
                validate_every=1_500,
            ),
        ),
        clip=ClipSettings(
            width=64,
            layers=2,
            heads=4,
            patch=16,
            projection=64,
            text_len=18,
            fit=FitSettings(
                steps=800,
                batch_size=64,
                lr=2e-3,
                lr_end=2e-5,
                warmup_share=0.05,
                beta2=0.98,
                weight_decay=1.5,
                clip_norm=1.0,
                ema_share=0.05,
                save_every=200,
                validate_every=400,
            ),
        ),
        sample=SampleSettings(
            # Of the 480 that the world has: all would make the demo a quarter longer. 8 for each of
            # the 12 combinations that are held out, 4 for each of the 24 that are seen.
            prompts=PromptSettings(kind="world", count=96),
            candidates=64,
            keep=4,
            temperature=0.7,
            guidance=1.5,
            tile=64,
            prompts_per_shard=4,
            workers=2,
            threads=1,
        ),
        evaluate=EvaluateSettings(judge="shapes"),
    )


def small() -> Settings:
    """A folder of your own pictures on one machine: 64 x 64 pixels, under an hour on two cores."""
    base = demo()
    fit = {"save_every": 500, "validate_every": 1_000}
    return base.model_copy(
        update={
            "tokens": TokenSpec(text_vocab=2_048, text_len=32, image_vocab=512, grid=8),
            "crawl": CrawlSettings(source=SourceSettings(kind="folder"), rows_per_shard=500),
            "filter": FilterSettings(validation_share=0.08, buckets=4),
            "dvae": base.dvae.model_copy(
                update={
                    "width": 32,
                    "beta": 14.0,
                    "beta_ramp_share": 0.003,
                    "temperature_end": 1 / 16,
                    "fit": base.dvae.fit.model_copy(
                        update=fit
                        | {"steps": 6_000, "batch_size": 16, "lr": 5e-3, "warmup_share": 0.05}
                    ),
                }
            ),
            "prior": base.prior.model_copy(
                update={
                    "layers": 6,
                    "head_dim": 24,
                    "fit": base.prior.fit.model_copy(update={"steps": 2_400, "lr": 1e-3} | fit),
                }
            ),
            "clip": base.clip.model_copy(
                update={
                    "patch": 8,
                    "text_len": 34,
                    "fit": base.clip.fit.model_copy(update={"steps": 600} | fit),
                }
            ),
            "encode": base.encode.model_copy(update={"min_codes_used": 64, "min_psnr_db": 15.0}),
            "sample": SampleSettings(
                prompts=PromptSettings(kind="validation", count=24),
                candidates=32,
                keep=8,
                guidance=1.5,
                tile=64,
                prompts_per_shard=4,
            ),
            "evaluate": EvaluateSettings(judge="none"),
        }
    )


def h200() -> Settings:
    """One GPU: about a billion parameters on the paper's 256 + 1024 tokens."""
    base = Settings()
    gpu = {"gpu": True}
    fit = gpu | {"compile": True, "threads": 8, "gpu_memory_gib": 140}
    return base.model_copy(
        update={
            "crawl": base.crawl.model_copy(update={"workers": 8, "threads": 128}),
            "measure": base.measure.model_copy(update={"workers": 8}),
            "filter": base.filter.model_copy(update={"workers": 8}),
            "dvae": base.dvae.model_copy(
                update={
                    "fit": base.dvae.fit.model_copy(
                        update=fit | {"steps": 200_000, "batch_size": 128, "micro_batch": 32}
                    )
                }
            ),
            "encode": base.encode.model_copy(update=gpu | {"tile": 128, "decoders": 12}),
            "prior": base.prior.model_copy(
                update={
                    "layers": 24,
                    "heads": 28,
                    "fit": base.prior.fit.model_copy(
                        update=fit
                        | {"decay": "cosine"}
                        | {"steps": 100_000, "batch_size": 256, "micro_batch": 32}
                    ),
                }
            ),
            "clip": base.clip.model_copy(update={"fit": base.clip.fit.model_copy(update=fit)}),
            "sample": base.sample.model_copy(update=gpu | {"precision": "bfloat16"}),
        }
    )


def paper() -> Settings:
    """The twelve-billion-parameter run (appendix B.2): planned and checked, not run.

    On 64 GPUs, as many as the paper's dVAE had; its prior had 1,024 of them.
    """
    base = Settings()
    gpu = {"gpu": True, "workers": 64}
    fit = gpu | {"compile": True, "threads": 8}
    parts = fit | {"shard": True, "recompute": True, "micro_batch": 8}
    return base.model_copy(
        update={
            "dvae": base.dvae.model_copy(
                update={"fit": base.dvae.fit.model_copy(update=fit)},
            ),
            "encode": base.encode.model_copy(update=gpu | {"tile": 128, "decoders": 12}),
            "prior": base.prior.model_copy(
                update={"fit": base.prior.fit.model_copy(update=parts)},
            ),
            "clip": base.clip.model_copy(
                update={"fit": base.clip.fit.model_copy(update=fit)},
            ),
        }
    )


PRESETS: dict[str, Callable[[], Settings]] = {
    "tiny": tiny,
    "demo": demo,
    "small": small,
    "h200": h200,
    "paper": paper,
}
