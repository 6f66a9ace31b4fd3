"""The command line: `lightship NOUN [VERB]`. It holds no rules: it asks use cases and the SDK, and prints."""
