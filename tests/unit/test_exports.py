import nbest


def test_all_is_what_is_visible_and_sorted():
    visible = {n for n in vars(nbest) if not n.startswith("_")}
    modules = {n for n in visible if type(getattr(nbest, n)).__name__ == "module"}
    assert set(nbest.__all__) == visible - modules
    assert nbest.__all__ == sorted(nbest.__all__)
