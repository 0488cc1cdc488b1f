"""The speed and memory of reading JUnit XML.

    python -m benchmarks.junit [ROWS]

The claim: a file of 1 000 000 test cases is read, counted and compared with its declared totals at half the speed or
more of a bare expat pass, in less than 200 MB.

The bare pass calls Python handlers for start tags, end tags and text that do nothing: what any Python program pays
that looks at each element. The file is generated (suites of 1000 rows; 1 % fail with a traceback, 1 % are skipped,
10 % printed something) and is about 90 MB. Both run three times, in turn and each in a process of its own; the best
time and the largest peak count. Peak memory is the maximum resident set of the process, interpreter included.
"""
