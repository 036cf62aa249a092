"""Images from outside: folders, ZIPs and fetched sets, and the range of their pixels."""
