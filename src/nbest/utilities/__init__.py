"""Utilities: how good one text would be if another were right. One file each."""
