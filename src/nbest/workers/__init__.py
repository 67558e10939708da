"""Scripts for other environments. They import nothing of `nbest`, which need not be installed there."""
