"""What a recorded reply says: its plain body, conversation, tokens and cost; and how far a live one has drifted."""
