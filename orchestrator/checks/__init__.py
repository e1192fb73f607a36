"""Looking at a branch: what the plan meets, loses, locks or leaves behind. Never writes; knows no Neon."""
