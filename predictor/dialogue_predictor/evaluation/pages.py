"""A report to read: Markdown for a repository, one HTML file with plots for a browser. Both have the same tables."""

from collections.abc import Mapping
from html import escape
from typing import Final

from dialogue_predictor.evaluation.plots import plot
from dialogue_predictor.evaluation.report import MODEL, Report
from dialogue_predictor.evaluation.tables import Table, markdown, number, table_of
from dialogue_predictor.evaluation.verdicts import verdicts

ABOUT: Mapping[str, str] = {
    "replies": "Replies of a beam search with the default options beside those that people gave: BLEU with sacrebleu's "
    "tokenizer of the language, chrF, the share of different words and pairs of words (characters in Chinese), "
    "replies that are wrong on their face (empty, cut off, repetitive, in a script nobody asked in), and the share of "
    "numbers that stand in the context. TF-IDF replies as in the most similar training dialogue, by the last turn or the "
    "last three, whichever has the better chrF here.",
    "perplexity": "Of the people's replies, a token, in fp32. Comparable only among models of one tokenizer.",
    "retrieval": "By cosine of sentence vectors, one right answer among all dialogues: misspelt: a dialogue's first turns "
    "with a fifth of the characters mistyped look for themselves; halves: a first half looks for the second half; reply: "
    "a history looks for its reply.",
    "zero-shot intents": "The description of an intent that is nearest to the turn in which the intent begins; services "
    "and intents are ones that no training dialogue has.",
    "intent classifier": "A linear head on the encoder, trained on the intents of the training dialogues; TF-IDF takes the "
    "intent of the most similar training turn.",
    "off-topic": "Held-out questions that no task assistant can answer, and validation dialogues, where declining is wrong.",
    "robustness": "chrF where the turn that is answered was harmed, with the difference to the unharmed.",
    "precision": "Replies of the CPU's engines in each number format.",
    "speed": "In a process of its own, beam search with the default options; memory is the whole process's.",
}

VERDICTS: Final = "What it should reach"
STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; color: #1c2024; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #d9dce0; padding: .3rem .7rem; text-align: left; white-space: nowrap; }
th { border-bottom-color: #8b9098; }
svg { max-width: 100%; height: auto; }
"""


def title_of(report: Report) -> str:
    model = report.subjects[MODEL]
    return f"Evaluation of {model['name']} {model['version']}"


def subjects_table(report: Report) -> Table:
    rows = []
    for who, facts in report.subjects.items():
        stored = f"{facts['weights']}, {number(facts['bytes'] / 1e6, ' MB')}" if "bytes" in facts else "fp32"
        name, digest = f"{facts['name']} {facts['version']}", facts.get("digest", "")
        rows.append((who, name, f"{facts['parameters']:,}", stored, facts["precision"], digest))
    return Table(("who", "model", "parameters", "stored as", "computes in", "digest"), tuple(rows))


def verdicts_table(report: Report) -> Table:
    rows = []
    for one in verdicts(report):
        bound = f"{'≤' if one.at_most else '≥'} {number(one.bound, one.unit)}"
        rows.append((one.what, number(one.value, one.unit), bound, one.why, "yes" if one.holds else "no"))
    return Table(("what", "measured", "bound", "which is", "holds"), tuple(rows))


def preface(report: Report) -> str:
    settings = report.settings
    cases = ", ".join(f"{count:,} of {name}" for name, count in settings["cases"].items())
    known = "with what was known as facts" if settings["facts"] else "without facts"
    return (
        f"Validation replies: {cases}, drawn with seed {settings['seed']}, {known}. ↓ marks what is better when lower."
    )


def markdown_page(report: Report) -> str:
    blocks = [f"# {title_of(report)}", markdown(subjects_table(report)), preface(report)]
    blocks += ["\n".join(f"- {note}" for note in report.notes)] if report.notes else []
    if verdicts(report):
        blocks += [f"## {VERDICTS}", markdown(verdicts_table(report))]
    for part in report.parts():
        blocks += [f"## {part.capitalize()}", ABOUT.get(part, ""), markdown(table_of(report.of(part)))]
    return "\n\n".join(block for block in blocks if block) + "\n"


def html_page(report: Report) -> str:
    """Self-contained: the plots are inside, nothing is loaded from anywhere."""
    title = escape(title_of(report))
    blocks = [f"<h1>{title}</h1>", html_table(subjects_table(report)), f"<p>{escape(preface(report))}</p>"]
    if report.notes:
        blocks.append(f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in report.notes)}</ul>")
    if verdicts(report):
        blocks += [f"<h2>{VERDICTS}</h2>", html_table(verdicts_table(report))]
    for part in report.parts():
        figures = report.of(part)
        blocks += [f"<h2>{escape(part.capitalize())}</h2>", f"<p>{escape(ABOUT.get(part, ''))}</p>"]
        blocks += [plot(part, figures) or "", html_table(table_of(figures))]
    body = "\n".join(block for block in blocks if block)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.head)
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<table>\n<tr>{head}</tr>\n{rows}\n</table>"
