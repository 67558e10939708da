"""JSON objects as answers."""

import pytest

from nbest.text.json_data import data_keys


def test_objects_are_the_same_whatever_the_order_of_keys_the_spaces_the_escapes_and_the_form_of_numbers():
    same = [
        '{"город":"東京","n":[2]}',
        ' { "n" : [2.0], "город" : "東京" }\n',
        '{"n":[2],"город":"\\u6771\\u4eac"}',
    ]
    assert set(data_keys(same)) == {'{"n":[2],"город":"東京"}'}


def test_objects_that_end_alike_differ():
    said = ['{"مدينة":"القاهرة","أيام":2}', '{"مدينة":"طوكيو","أيام":2}', '{"أيام":2,"مدينة":"طوكيو"}']
    first, second, third = data_keys(said)
    assert first != second == third


def test_what_all_word_differently_tells_none_apart():
    said = ['{"思考":"2と2","答え":4}', '{"思考":"2+2","答え":5}', '{"思考":"二の二倍","答え":4}']
    assert data_keys(said) == ['{"答え":4}', '{"答え":5}', '{"答え":4}']


def test_objects_with_other_fields_are_no_class_together():
    assert data_keys(['{"x":1}', '{"y":2}', '{"a":1}', '{"a":1}']) == [
        '{"x":1}',
        '{"y":2}',
        '{"a":1}',
        '{"a":1}',
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["4", "四", None, ""],
        ["[1]", "[1]"],
        ["{1, 2}", "{1, 2}"],
        ['{"a": 1', '{"a": 1'],
        ['{"a": 1}', '{"a": 2}'],
        ["{}", "{}"],
        ['{"a": 1}', "4"],
    ],
)
def test_where_no_two_objects_share_a_field_texts_are_compared(texts):
    assert data_keys(texts) == [None] * len(texts)
