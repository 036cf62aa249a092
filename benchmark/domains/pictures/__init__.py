"""Pictures of other people: folders, ZIPs and fetched sets, and what their pixels mean."""
