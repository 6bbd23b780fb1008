"""Which of an encoder's hidden states are taken: `last`, `all`, `6` or `6-12`; 0 is what its first layer reads."""

from features.errors import WrongUse


def chosen_layers(text: str, layers: int) -> tuple[int, ...]:
    """The numbers of the hidden states that `text` names, of an encoder with `layers` layers."""
    if text == "last":
        return (layers,)
    if text == "all":
        return tuple(range(layers + 1))
    first, dash, last = text.partition("-")
    numbers = (first, last) if dash else (first, first)
    if not all(number.isdecimal() and len(number) < 5 for number in numbers):
        raise WrongUse(f"Expected layers as last, all, a number or a range such as 6-12, but got {text!r}.")
    low, high = map(int, numbers)
    if not low <= high <= layers:
        raise WrongUse(f"Expected layers from 0 to {layers}, the model has no more, but got {text!r}.")
    return tuple(range(low, high + 1))
