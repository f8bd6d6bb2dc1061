"""Solves equations with the linear algebra of both libraries, and computes a transform."""

import numpy
from scipy import fft, linalg, optimize


def main() -> None:
    matrix = numpy.array([[4.0, 1.0], [2.0, 3.0]])
    solution = linalg.solve(matrix, numpy.array([1.0, 2.0])).round(3).tolist()
    root = optimize.brentq(lambda x: x**3 - 2, 0, 2)
    energy = abs(fft.fft(numpy.ones(8))[0])
    values = numpy.linalg.eigvalsh(numpy.array([[2.0, 1.0], [1.0, 2.0]])).round(6).tolist()
    print(f"{solution} {root:.6f} {energy:.1f} {values}")
