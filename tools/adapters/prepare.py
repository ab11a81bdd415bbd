"""Makes the training files of the shipped adapters (weights/adapters) from public data sets and Debian packages.

    python3 tools/adapters/prepare.py DATA OUT [PACKAGES]

DATA holds sst2.{train,dev}.tsv (sentence TAB 0 or 1, no header), trec-questions.train.txt (`COARSE:fine question`) and
xquad.en.train.json (SQuAD format); what is missing is passed over. PACKAGES is a folder into which these Debian packages were
unpacked, each under its name, as by `apt-get download NAME; dpkg-deb -x NAME_*.deb PACKAGES/NAME`: wordnet-base, kgeography-data,
debian-handbook, debian-reference-en, developers-reference, debian-faq, anarchism, fortunes. Needs no module beyond Python's own.
"""

import gzip, html, json, random, re, sys
from pathlib import Path

TREC = {"ABBR": "abbreviation", "DESC": "description", "ENTY": "entity", "HUM": "person", "LOC": "place", "NUM": "number"}
# Paragraphs of XQuAD, counted through the file, that are kept to measure on: drawn once at random.
HELD = {9, 10, 14, 15, 17, 18, 19, 28, 37, 40, 41, 43, 49, 57, 67, 71, 72, 73, 76, 80, 82, 83, 90, 93, 98, 100, 105, 111, 137, 139}
HELD |= {147, 150, 153, 158, 167, 177}
BOOKS = {
    "debian-handbook": "usr/share/doc/debian-handbook/html/en-US/*.html",
    "debian-reference-en": "usr/share/debian-reference/*.en.html",
    "developers-reference": "usr/share/developers-reference/developers-reference.html",
    "debian-faq": "usr/share/doc/debian/FAQ/*.en.html",
    "anarchism": "usr/share/doc/anarchism/html/sec*.html",
}


def main(data: Path, out: Path, packages: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for part in ("train", "dev"):
        if (data / f"sst2.{part}.tsv").exists():
            rows = [line.split("\t") for line in (data / f"sst2.{part}.tsv").read_text().splitlines()]
            named = [f"{text}\t{('negative', 'positive')[int(label)]}" for text, label in rows]
            (out / f"sst2.{part}.tsv").write_text("\n".join(["text\tlabel", *named]) + "\n")
    if (data / "trec-questions.train.txt").exists():
        trec((data / "trec-questions.train.txt").read_text(errors="replace").splitlines(), out)
    entries = list(wordnet(packages / "wordnet-base/usr/share/wordnet")) if packages else []
    if packages:
        masked_words(packages, entries, out)
    if (data / "xquad.en.train.json").exists():
        answers(json.loads((data / "xquad.en.train.json").read_text()), entries, out)


def trec(lines: list[str], out: Path) -> None:
    """Every eleventh question is kept to measure on."""
    rows = [f"{text.strip()}\t{TREC[label.split(':')[0]]}" for label, text in (line.split(" ", 1) for line in lines)]
    parts = {"train": [row for i, row in enumerate(rows) if i % 11 != 10], "dev": rows[10::11]}
    for name, part in parts.items():
        (out / f"trec.{name}.tsv").write_text("\n".join(["text\tlabel", *part]) + "\n")


def wordnet(folder: Path):
    """Entries of WordNet: (name, gloss, whether it is one thing or person, sentences that use the word)."""
    for part in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{part}").read_text().splitlines():
            if line.startswith("  ") or " | " not in line:
                continue
            head, gloss = line.split(" | ", 1)
            fields = head.split()
            name = re.sub(r"\(\w+\)$", "", fields[4]).replace("_", " ")
            meaning = re.split(r"; ?\"|\"", gloss)[0].strip(" ;:")
            uses = [use for use in re.findall(r'"([^"]+)"', gloss) if len(use.split()) >= 4]
            yield part, name, meaning, " @i " in f" {head} ", uses


def statement(part: str, name: str, meaning: str, single: bool) -> str | None:
    """A gloss as a plain sentence."""
    if part != "noun" or not meaning or meaning.startswith("("):
        return None
    article = re.match(r"(the|a|an|any|one|some|someone|something|all|each|either|every|that|what)\b", meaning)
    said = meaning if article else f"{'an' if meaning[0] in 'aeiou' else 'a'} {meaning}"
    if single:
        return f"{name} {'was' if re.search(r'[0-9]{3,4}-[0-9]{3,4}', meaning) else 'is'} {said}."
    return f"{'An' if name[0].lower() in 'aeiou' else 'A'} {name} is {said}." if name[0].islower() else f"{name} is {said}."


def masked_words(packages: Path, entries: list, out: Path) -> None:
    """Documents with empty lines between: glosses and the sentences beside them, books, sayings, capitals. One of 200 is held out."""
    pick = random.Random(1)
    documents: list[str] = []
    for part, name, meaning, single, uses in entries:
        said = statement(part, name, meaning, single)
        if said and (single or pick.random() < 0.5):
            documents.append(said)
        documents += [use[0].upper() + use[1:] + ("" if use[-1] in ".!?" else ".") for use in uses]
    for package, files in BOOKS.items():
        for file in sorted((packages / package).glob(files)):
            text = re.sub(r"(?s)<(script|style|pre|head)\b.*?</\1>", " ", file.read_text(errors="replace"))
            for paragraph in re.findall(r"(?s)<p\b[^>]*>(.*?)(?=</p>|<p\b)", text):
                plain = " ".join(html.unescape(re.sub(r"<[^>]+>", "", paragraph)).split())
                if 8 <= len(plain.split()) <= 200 and (package != "anarchism" or pick.random() < 0.15):
                    documents.append(plain)
    for name in ("wisdom", "education", "work", "science", "people", "love", "men-women"):
        text = (packages / "fortunes/usr/share/games/fortunes" / name).read_text(errors="replace")
        documents += [" ".join(saying.split()) for saying in re.split(r"(?m)^%$", text) if len(saying.split()) > 5]
    for file in sorted((packages / "kgeography-data/usr/share/kgeography").glob("*.kgm")):
        text = html.unescape(file.read_text(errors="replace"))
        for name, capital in re.findall(r"<name>([^<]+)</name>\s*(?:<flag>[^<]*</flag>\s*)?<capital[^>]*>([^<]+)<", text):
            if capital != name and f"{capital}{name}".isascii():
                documents.append(pick.choice([f"{capital} is the capital of {name}.", f"The capital of {name} is {capital}."]))
    documents = list(dict.fromkeys(documents))
    pick.shuffle(documents)
    (out / "masked-words.dev.txt").write_text("\n\n".join(documents[::200]) + "\n")
    (out / "masked-words.train.txt").write_text("\n\n".join(d for i, d in enumerate(documents) if i % 200) + "\n")


def answers(squad: dict, entries: list, out: Path) -> None:
    """XQuAD's paragraphs in two parts, no paragraph in both; to the part that is trained on, shorter cuts of its paragraphs,
    statements of it with a name or number asked for, and questions made of WordNet's names."""
    pick = random.Random(2)
    paragraphs = [paragraph for article in squad["data"] for paragraph in article["paragraphs"]]
    dev = [{"paragraphs": [paragraph]} for i, paragraph in enumerate(paragraphs) if i in HELD]
    (out / "xquad.dev.json").write_text(json.dumps({"data": dev}))
    made = [paragraph for i, paragraph in enumerate(paragraphs) if i not in HELD]
    made += [cut for paragraph in list(made) for cut in cuts(paragraph, pick)]
    made += list(named(entries, pick))
    (out / "answers.train.json").write_text(json.dumps({"data": [{"paragraphs": made}]}))


def sentences(text: str) -> list[tuple[int, int]]:
    ends = [m.end() for m in re.finditer(r"[.!?]\"?(?=\s+[A-Z\"])", text)] + [len(text)]
    return list(zip([0, *ends[:-1]], ends))


def cuts(paragraph: dict, pick: random.Random):
    """Each question with the sentence of its answer and one or two beside it; and sentences that became questions."""
    context, spans = paragraph["context"], sentences(paragraph["context"])
    question = lambda text, answer, at: {"id": f"{pick.random()}", "question": text, "answers": [{"text": answer, "answer_start": at}]}
    for qa in paragraph["qas"]:
        text, at = qa["answers"][0]["text"], qa["answers"][0]["answer_start"]
        home = [i for i, (a, b) in enumerate(spans) if a <= at and at + len(text) <= b]
        if not home:
            continue
        first, last = max(0, home[0] - pick.randint(0, 2)), min(len(spans) - 1, home[0] + pick.randint(0, 2))
        a, b = spans[first][0], spans[last][1]
        a += len(context[a:b]) - len(context[a:b].lstrip())
        yield {"context": context[a:b], "qas": [question(qa["question"], text, at - a)]}
    for i, (a, b) in enumerate(spans):
        found = list(re.finditer(r"\b(?:[A-Z][\w.'-]+(?: (?:of |the )?[A-Z][\w.'-]+)*|\d[\d,.]*(?: (?:million|percent|%))?)", context[a:b].rstrip(" .")))
        found = [m for m in found if m.start() > 3]
        if not found or len(context[a:b].split()) > 40:
            continue
        m = pick.choice(found)
        said = context[a:b].strip().rstrip(".")
        at = m.start() - (len(context[a:b]) - len(context[a:b].lstrip()))
        asked = f"{said[:at]}{pick.choice(['what', 'which', 'who'] if m[0][0].isalpha() else ['what number', 'how many', 'which year'])}{said[at + len(m[0]):]}?"
        low, high = max(0, i - pick.randint(0, 2)), min(len(spans) - 1, i + pick.randint(0, 2))
        start = spans[low][0] + (len(context[spans[low][0]:]) - len(context[spans[low][0]:].lstrip()))
        yield {"context": context[start:spans[high][1]], "qas": [question(asked, m[0], a + m.start() - start)]}


def named(entries: list, pick: random.Random):
    """Four of WordNet's people, places and works at a time, and a question about one or two of them."""
    single = [(name, meaning) for part, name, meaning, one, _ in entries if one and statement(part, name, meaning, one) and 4 <= len(meaning.split()) <= 30]
    pick.shuffle(single)
    for start in range(0, len(single) - 4, 4):
        context, asked = "", []
        for name, meaning in single[start:start + 4]:
            said = statement("noun", name, meaning, True)
            at = len(context)
            context += ("" if not context else " ") + said
            at = len(context) - len(said)
            asked += [(text, answer, context.index(answer, at)) for text, answer in about(name, meaning) if answer in said]
        if asked:
            qas = [
                {"id": f"{start}.{i}", "question": text, "answers": [{"text": answer, "answer_start": place}]}
                for i, (text, answer, place) in enumerate(pick.sample(asked, min(2, len(asked))))
            ]
            yield {"context": context, "qas": qas}


def about(name: str, meaning: str):
    years = re.search(r"\((?:born |circa )?(\d{3,4})-(\d{3,4})\)", meaning)
    plain = re.sub(r"\s*\([^)]*\)", "", meaning).split(";")[0].strip(" ,")
    if years:
        yield f"When was {name} born?", years[1]
        yield f"In what year did {name} die?", years[2]
    who = re.search(r"\bwho (\w+(?:ed|wrote|made|led|became|was|won) .+)$", plain)
    if who:
        yield f"Who {who[1]}?", name
        yield f"What did {name} do?", who[1]
    if plain.startswith("the "):
        yield f"What is {plain}?", name
    kind = re.match(r"an? ((?:\w+ )?\w+) (in|on|of|near|at) (.+)$", plain)
    if kind:
        yield f"Which {kind[1]} is {kind[2]} {kind[3]}?", name
    where = re.search(r"\b(?:in|on|near) ((?:(?:north|south|east|west|central|the)\w* )*[A-Z]\w+(?: [A-Z]\w+)*)", plain)
    if where:
        yield f"Where is {name}?" if not years else f"Where was {name} from?", where[1]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
