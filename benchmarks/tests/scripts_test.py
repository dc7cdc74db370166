"""scripts/bench and scripts/instructions: what they compute and what they complain about, on canned input."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / "scripts"


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module  # for dataclasses
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
bench, instructions = load("bench"), load("instructions")
REPORTS = json.loads((HERE / "three_processes.json").read_text(encoding="utf-8"))
PROCESSES = [bench.times_of(report) for report in REPORTS]


def judged(line, section="one_thread"):
    comparisons = bench.read_comparisons(f"{section} = [\n  {line},\n]\n")
    return bench.judge(PROCESSES, comparisons)[0]


def printed(function, *arguments):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        function(*arguments)
    return out.getvalue()


class Arithmetic(unittest.TestCase):
    def test_rows_of_several_threads_are_given_per_thread(self):
        self.assertEqual(PROCESSES[0]["gate/ask/threads:1"], 12)
        self.assertEqual(PROCESSES[0]["gate/ask/threads:2"], 40)

    def test_ratios_are_taken_within_a_process_and_then_their_median(self):
        verdict = judged('{row = "gate/ask", floor = "floor/clock", max_ratio = 1.2}')
        # 12/10, 22/20, 15/10; the ratio of the medians would be 1.5.
        self.assertEqual((verdict.median, verdict.least, verdict.greatest), (1.2, 1.1, 1.5))
        self.assertFalse(verdict.failed)

    def test_a_median_above_the_maximum_fails(self):
        self.assertTrue(judged('{row = "gate/ask", floor = "floor/clock", max_ratio = 1.19}').failed)

    def test_without_a_maximum_nothing_fails(self):
        self.assertEqual(judged('{row = "gate/ask", floor = "floor/clock"}').word, "")

    def test_differences(self):
        verdict = judged('{row = "gate/ask", floor = "floor/clock", max_extra_ns = 1.9}')
        self.assertEqual(verdict.median, 2)
        self.assertTrue(verdict.failed)

    def test_sums(self):
        verdict = judged('{row = "gate/ask", floor = ["floor/clock", "floor/fetch_add", "floor/fetch_add"]}')
        self.assertAlmostEqual(verdict.median, 22 / 30)  # 12/20, 22/30, 15/20

    def test_two_threads_against_the_mutex_version(self):
        verdict = judged('{row = "gate/ask", floor = "mutex_version", max_ratio = 0.8}', "two_threads")
        self.assertEqual(verdict.of.floor, ("mutex_version/gate_ask/threads:2",))
        self.assertEqual((verdict.median, verdict.greatest), (0.9, 1.5))
        self.assertTrue(verdict.failed)

    def test_what_was_not_run_is_not_judged(self):
        line = '{row = "gate/ask", floor = ["floor/clock", "floor/mutex"]}'
        self.assertEqual(bench.judge(PROCESSES, bench.read_comparisons(f"one_thread = [{line}]")), [])

    def test_another_number_of_threads_can_be_named(self):
        self.assertEqual(judged('{row = "gate/ask", floor = "floor/clock/threads:1"}', "two_threads").median, 6)


class Complaints(unittest.TestCase):
    def rejects(self, text, why, **more):
        with self.assertRaisesRegex(bench.Mistake, why):
            comparisons = bench.read_comparisons(text)
            bench.choose_rows(list(PROCESSES[0]), comparisons, more.get("pattern"))

    def test_wrong_files(self):
        good = '  {row = "gate/ask", floor = "floor/clock"},\n'
        wrap = "one_thread = [\n{}]\n".format
        self.rejects(wrap(good + "\n" + '  {row = "gate/ask", floor = "floor/clok"},\n'),
                     r"floors.toml:4: gate/ask/threads:1: there is no row floor/clok/threads:1")
        self.rejects(wrap('  {row = "gat/ask", floor = "floor/clock"},\n'), "there is no row gat/ask/threads:1")
        self.rejects(wrap('  {row = "gate/ask"},\n'), ":2: gate/ask: needs either a floor or stated_ns")
        self.rejects(wrap('  {row = "gate/ask", floor = "floor/clock", max = 2},\n'), ":2: gate/ask: unknown: max")
        self.rejects(wrap('  {floor = "floor/clock"},\n'), ":2: a comparison needs a row")
        self.rejects(wrap('  {row = "gate/ask", floor = "floor/clock", max_ratio = 1, max_extra_ns = 1},\n'),
                     "two comparisons")
        self.rejects("three_threads = []\n", "section three_threads")
        self.rejects("one_thread = [\n  {row = gate},\n", "floors.toml: Invalid value")

    def test_a_filter_that_matches_nothing(self):
        self.rejects("", "--filter gaet: matches none of the 5 rows", pattern="gaet")

    def test_a_program_that_is_not_there(self):
        with self.assertRaisesRegex(bench.Mistake, "/no/such: cannot be run: No such file"):
            bench.list_rows("/no/such")

    def test_a_row_that_gave_up(self):
        report = {"benchmarks": [{"name": "gate/ask", "error_occurred": True, "error_message": "refused"}]}
        with self.assertRaisesRegex(bench.Mistake, "gate/ask: refused"):
            bench.times_of(report)

    def test_what_fails_is_said_with_its_place(self):
        verdict = judged('{row = "gate/ask", floor = "floor/clock", max_extra_ns = 1}')
        self.assertIn("0 of 1 comparisons hold", text := printed(bench.print_verdicts, [verdict]))
        self.assertIn("benchmarks/floors.toml:2: gate/ask/threads:1: +2.00 ns [+2.00 ns .. +5.00 ns] of "
                      "floor/clock/threads:1, at most +1.00 ns", text)


class Rows(unittest.TestCase):
    def test_a_filter_brings_what_its_rows_are_compared_with(self):
        comparisons = bench.read_comparisons('one_thread = [\n  {row = "gate/ask", floor = "floor/clock"},\n]\n')
        self.assertEqual(bench.choose_rows(list(PROCESSES[0]), comparisons, "^gate/ask/threads:1"),
                         ["floor/clock/threads:1", "gate/ask/threads:1"])

    def test_the_slow_floor_is_run_only_for_somebody(self):
        self.assertEqual(bench.choose_rows(["floor/dram/threads:1", "a/b/threads:1"], [], None), ["a/b/threads:1"])
        self.assertEqual(bench.choose_rows(["floor/dram/threads:1"], [], "dram"), ["floor/dram/threads:1"])

    def test_the_committed_file_is_right(self):
        self.assertGreater(len(bench.read_comparisons(bench.FLOORS.read_text(encoding="utf-8"))), 50)


class Kept(unittest.TestCase):
    def test_what_is_saved_can_be_read_and_shown(self):
        verdicts = [judged('{row = "gate/ask", floor = "floor/clock", max_ratio = 1.1}')]
        result = bench.result_of(PROCESSES, verdicts, REPORTS[0]["context"], 0.1, "scripts/bench --save")
        self.assertEqual(json.loads(bench.compact(result)), result)
        self.assertEqual(result["rows"]["gate/ask/threads:1"], [15, 12, 22])
        page = bench.tables({"a.json": result})
        self.assertIn("| gate/ask/threads:1 | floor/clock/threads:1 | 1.20 x (1.10 – 1.50) | 1.1 x | **above** |", page)


class Instructions(unittest.TestCase):
    def test_only_what_measured_calls_is_counted(self):
        counts = instructions.counts_of((HERE / "callgrind.out").read_text(encoding="utf-8"), 100)
        self.assertEqual(counts, {"gate_ask": 123.4, "gate_refuse": 70.0})

    def test_a_rise_is_complained_about(self):
        self.assertEqual(instructions.compare({"a": 100.0}, {"a": 110.0})[1], [])
        self.assertEqual(instructions.compare({"a": 10.0}, {"a": 15.0})[1], [])
        self.assertEqual(instructions.compare({"a": 100.0}, {"a": 110.1})[1],
                         ["a rose from 100.0 to 110.1 instructions, at most 110.0 are accepted"])
        self.assertEqual(len(instructions.compare({}, {"a": 1.0})[1]), 1)

    def test_a_fall_is_told(self):
        self.assertEqual(instructions.compare({"a": 100.0}, {"a": 80.0})[1:],
                         ([], ["a fell from 100.0 to 80.0 instructions"]))

    def test_patch_releases_of_a_compiler_are_one(self):
        self.assertEqual(instructions.generation("GNU 12.2.0"), instructions.generation("GNU 12.3.1"))
        self.assertNotEqual(instructions.generation("GNU 12.2.0"), instructions.generation("Clang 12.2.0"))


if __name__ == "__main__":
    unittest.main()
