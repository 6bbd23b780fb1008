"""The numerical searches behind the methods: compiled inner loops, random numbers, exact lines, regressions."""
