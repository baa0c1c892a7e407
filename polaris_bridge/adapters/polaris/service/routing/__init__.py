"""Where calls go, asked over HTTP: what the core decides by the rules that are kept."""
