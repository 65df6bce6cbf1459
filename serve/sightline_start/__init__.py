"""What the starts of other people's servers share: words, the key file, what keeps them from starting."""
