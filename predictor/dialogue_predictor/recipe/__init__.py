"""The default bundles from the corpora to their cards: nothing but the commands of `dialogue`, in order."""
