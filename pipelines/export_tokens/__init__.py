"""Export token shards in formats that other trainers read."""
