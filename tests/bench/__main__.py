"""Print the benchmarks: `make bench`."""

from tests.bench import (
    captions,
    crawl,
    drawing,
    dvae,
    encode,
    inspection,
    metrics,
    prior,
    token_reader,
)
from tests.bench.looks import looks
from tests.bench.models import models
from tests.bench.near import near_duplicates

if __name__ == "__main__":
    drawing.main([])
    captions.main()
    looks()
    models()
    near_duplicates()
    crawl.main()
    dvae.main()
    encode.main()
    inspection.main()
    metrics.main()
    prior.main()
    token_reader.main()
