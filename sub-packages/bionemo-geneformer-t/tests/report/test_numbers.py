from bionemo.geneformer_t.evaluate.intervals import Interval
from bionemo.geneformer_t.report.numbers import gain, number, percent, span

NAN = float("nan")


def test_numbers_have_their_digits_and_a_minus_sign() -> None:
    assert number(-1.23456) == "\N{MINUS SIGN}1.235"
    assert number(2.0, 1) == "2.0"
    assert number(NAN) == "-"


def test_shares_are_shown_as_per_cent() -> None:
    assert percent(0.1234) == "12.3"
    assert percent(NAN) == "-"


def test_gains_have_a_sign_and_intervals_two_ends() -> None:
    assert gain(0.5, 1) == "+0.5"
    assert gain(-0.5, 1) == "\N{MINUS SIGN}0.5"
    assert gain(NAN) == "-"
    assert span(Interval(mean=0.0, low=-0.1, high=0.25), 1) == "\N{MINUS SIGN}0.1 to 0.2"
    assert span(Interval(mean=NAN, low=NAN, high=NAN)) == "-"
