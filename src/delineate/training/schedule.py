"""Where each step of a training lies in its schedule, also where steps were taken off or added on the way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """The steps of a training.

    Attributes:
        steps: As planned at first.
        adjusted: `(step, steps)`: when so many steps were done, their whole number was changed to so many.
    """

    steps: int
    adjusted: tuple[tuple[int, int], ...] = ()

    @property
    def last_step(self) -> int:
        """How many steps are taken in all."""
        return self.adjusted[-1][1] if self.adjusted else self.steps

    def position(self, step: int) -> float:
        """Where a step lies among the steps planned at first.

        Args:
            step: Steps done, up to `last_step`.

        Returns:
            The step itself up to the first change; from each on what is left to `steps` evenly over what
            is left of the steps, so that it goes on where it was and ends at `steps`.
        """
        place, begin, end = 0.0, 0, self.steps
        for changed, whole in self.adjusted:
            if step <= changed:
                break
            place += (changed - begin) * (self.steps - place) / (end - begin)
            begin, end = changed, whole
        return step if begin == 0 else place + (step - begin) * (self.steps - place) / (end - begin)

    def marks(self, count: int) -> tuple[int, ...]:
        """Steps at even shares of the schedule, the last at its end.

        Args:
            count: How many.

        Returns:
            In rising order, where there are fewer steps than marks some of them alike. Marks up to a
            change are where they were without it.
        """
        places = [self.steps * (number + 1) / count for number in range(count)]
        marks = [round(place) for place in places]
        for changed, whole in self.adjusted:
            begin = self.position(changed)
            for number, place in enumerate(places):
                if marks[number] > changed:
                    share = (place - begin) / (self.steps - begin)
                    marks[number] = max(changed + 1, round(changed + share * (whole - changed)))
        return tuple(marks)
