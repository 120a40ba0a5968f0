"""What both Python SDKs do with the contract: not for use by others, and without promises to them."""
