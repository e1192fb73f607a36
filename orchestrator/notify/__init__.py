"""Words to others: webhooks and chat messages about previews, told by whoever gets to it. No step sends anything."""
