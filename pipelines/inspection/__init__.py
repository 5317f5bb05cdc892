"""Looking into token shards: what is found, counted, compared, and how it is shown."""
