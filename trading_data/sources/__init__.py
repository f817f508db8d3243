"""Where rows come from: feeds, vendors and files."""
