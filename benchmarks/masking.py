"""Precision and recall of masking on made-up posts: secrets, and phones and addresses of 11 countries.

    python benchmarks/masking.py                  # a table
    python benchmarks/masking.py --missed         # also each post that was read wrong
    python benchmarks/masking.py --posts FILE     # also how many posts of a real file are masked

Half of the posts hold one piece of private data, the others look as if they did: dates, ids of
posts, scores, prices, ISBNs, missions, versions, hashtags, sentences about passwords.

Recall is the share of pieces that are gone from the masked post. Precision is the share of masked
places that were private; a place masked as another private kind counts as right.
"""

from __future__ import annotations

import argparse
import random
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING

from huggingtweets.privacy import masking

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Case:
    """A post and the private piece in it; an empty piece for none."""

    kind: str
    where: str
    text: str
    piece: str


def digits(rng: random.Random, form: str) -> str:
    """Fill a form: ``#`` any digit, ``N`` 2 to 9; other characters stay."""
    filled = {"#": string.digits, "N": "23456789"}
    return "".join(rng.choice(filled.get(character, character)) for character in form)


PHONES = {
    "US": ("(20N) N##-####", "+1 41N-N##-####", "31N.N##.####", "1-800-N##-####", "60NN######"),
    "GB": ("020 7N## ####", "07700 90####", "+44 20 7N## ####", "0161 496 0###", "+44 (0)7911 12####"),
    "DE": ("030 N######", "0171/N######", "+49 89 N#######", "0151 2N######", "(0221) N######"),
    "FR": ("06 N# ## ## ##", "01 4N ## ## ##", "+33 6 N# ## ## ##", "06.N#.##.##.##", "07N#######"),
    "ES": ("612 ### ###", "91 N## ## ##", "+34 6## ### ###", "6N# ## ## ##", "934 5## ###"),
    "IT": ("347 N######", "06 N### ####", "+39 02 N#######", "333 N## ####", "02 N#######"),
    "NL": ("06-N#######", "020 62# ####", "+31 6 N#######", "010-4N#####", "06 N# ## ## ##"),
    "BR": ("(11) 9N###-####", "21 9N###-####", "+55 11 9N###-####", "(31) 3N##-####", "(85) 9N#######"),
    "IN": ("98### #####", "+91 98### #####", "022 2N## ####", "9N########", "+91-80-2N######"),
    "AU": ("0412 ### ###", "(02) 9N## ####", "+61 4## ### ###", "03 9N## ####", "0498 ### ###"),
    "JP": ("090-N###-####", "03-5N##-####", "+81 90-N###-####", "080 N### ####", "06-6N##-####"),
}  # fmt: skip

CALLING = {
    "US": (
        "call me at {}",
        "my number is {} now",
        "lost my phone, new one: {}",
        "text {} for tickets",
    ),
    "DE": ("ruf mich an: {}", "meine Nummer ist {}", "Tel. {}", "neue Nummer {} bitte speichern"),
    "FR": ("appelez le {} ce soir", "mon numéro : {}", "tél. {}", "nouveau portable {}"),
    "ES": ("llámame al {}", "mi número es {}", "reservas en el {}", "tel: {}"),
    "IT": ("chiamami al {}", "il mio numero è {}", "tel. {}", "per info {}"),
    "NL": ("bel me op {}", "mijn nummer is {}", "tel {}", "app even naar {}"),
    "BR": ("me liga no {}", "meu número é {}", "whatsapp {}", "novo telefone: {}"),
    "JP": ("電話 {} です", "新しい番号は {}", "携帯: {}", "予約は {} まで"),
}

ADDRESSES = {
    "US": ("{n} Maple Street", "{n} N. Lincoln Ave", "{n} Oak Ridge Rd, Apt 4B", "{n} 42nd St", "{n} elm street"),
    "GB": ("{n} Kings Road", "Flat 2, {n} Station Road", "{n}a High Street", "{n} Rose Gardens", "{n} St Mary's Close"),
    "DE": ("Hauptstraße {n}", "Lindenweg {n}", "Berliner Str. {n}", "Am Schillerplatz {n}", "Goethestr. {n}a"),
    "FR": ("{n} rue de la République", "{n}, avenue Victor Hugo", "{n} bis boulevard Voltaire", "{n} place du Marché", "{n} chemin des Vignes"),
    "ES": ("Calle Mayor {n}", "C/ Alcalá, {n}", "Avenida de la Constitución, nº {n}", "Plaza de España {n}", "Paseo de Gracia {n}"),
    "IT": ("Via Roma {n}", "Corso Vittorio Emanuele {n}", "Piazza Garibaldi, {n}", "Viale dei Mille {n}", "via Dante {n}"),
    "NL": ("Kerkstraat {n}", "Prinsengracht {n}", "Dorpsweg {n}", "Stationsplein {n}", "Jan van Galenstraat {n}"),
    "BR": ("Rua das Flores, {n}", "Avenida Paulista, {n}", "Av. Brasil {n}", "Travessa do Carmo, nº {n}", "Rua Augusta {n}"),
    "IN": ("{n}, MG Road", "{n} Park Street", "{n}/2 Nehru Nagar", "{n} Gandhi Marg", "{n} Lake View Road"),
    "AU": ("{n} George Street", "{n} Collins St", "Unit 3/{n} Beach Road", "{n} Victoria Parade", "{n} Bondi Rd"),
    "PL": ("ul. Kwiatowa {n}", "ul. Marszałkowska {n}/12", "al. Jana Pawła {n}", "os. Leśne {n}", "pl. Wolności {n}"),
    "JP": ("東京都港区芝公園{d}-2-8", "大阪市北区梅田{d}丁目1-3", "〒100-000{d}", "京都市中京区丸太町{d}丁目12番", "横浜市西区みなと{d}-5"),
}  # fmt: skip
LIVING = ("party at {} tonight", "we moved to {}.", "my new address: {}", "find us, {}, all day")

WORDS = ("the cat slept again", "what a day", "so tired of rain", "coffee first", "hello from here",
         "guten Morgen", "bonne nuit", "qué día", "che bello", "今日はいい天気")  # fmt: skip


def card(rng: random.Random) -> str:
    """A made-up card number with a valid check digit, in one of the usual forms."""
    prefix, length = rng.choice([("4", 16), ("51", 16), ("37", 15), ("6011", 16), ("2221", 16)])
    body = prefix + "".join(rng.choices(string.digits, k=length - len(prefix) - 1))
    total = sum(sum(map(int, str(int(d) * (2 - i % 2)))) for i, d in enumerate(body[::-1]))
    number = body + str(-total % 10)
    sign = rng.choice(("", " ", "-"))
    if length == 15:
        return sign.join((number[:4], number[4:10], number[10:]))
    return sign.join(number[i : i + 4] for i in range(0, 16, 4))


def iban(rng: random.Random) -> str:
    """A made-up IBAN with valid check digits, with blanks or without."""
    country, form = rng.choice([
        ("DE", "##################"), ("GB", "NWBK##############"), ("FR", "#######################"),
        ("NL", "ABNA##########"), ("ES", "####################"), ("IT", "X######################"),
        ("PL", "########################"), ("BE", "############"), ("CH", "#################"),
    ])  # fmt: skip
    body = "".join(rng.choice(string.digits) if c == "#" else c for c in form)
    number = "".join(str(int(c, 36)) for c in f"{body}{country}00")
    whole = f"{country}{98 - int(number) % 97:02}{body}"
    pairs = " ".join(whole[i : i + 4] for i in range(0, len(whole), 4))
    return pairs if rng.random() < 0.6 else whole


def key(rng: random.Random) -> str:
    """A made-up key in the form of one of twenty issuers, put together here and never issued."""
    word = string.ascii_letters + string.digits
    prefix, alphabet, length = rng.choice([
        ("AKIA", string.ascii_uppercase + string.digits, 16), ("ghp_", word, 36),
        ("github_pat_", word + "_", 82), ("glpat-", word, 20), ("xoxb-", string.digits, 36),
        ("sk_live_", word, 24), ("sk-proj-", word, 48), ("sk-ant-api03-", word, 90),
        ("AIza", word, 35), ("hf_", word, 34), ("npm_", word, 36), ("pypi-AgEIcHlwaS5vcmc", word, 90),
        ("dop_v1_", "0123456789abcdef", 64), ("shpat_", "0123456789abcdef", 32),
        ("api_key=", word, 32), ("token: ", word, 40), ("SK", "0123456789abcdef", 32),
        ("sq0atp-", word, 22), ("gsk_", word, 52),
    ])  # fmt: skip
    return prefix + "1" + "".join(rng.choices(alphabet, k=length - 1))


def password(rng: random.Random) -> str:
    """A made-up password: words, digits and signs."""
    return rng.choice([
        f"{rng.choice(('tiger', 'sommer', 'soleil', 'fluffy'))}{rng.randint(1, 9999)}",
        "".join(rng.choices(string.ascii_letters + string.digits + "!#$%*", k=rng.randint(8, 16))),
        rng.choice(("swordfish", "Lollipop", "letmein", "Schmetterling")),
    ])  # fmt: skip


SECRETS: dict[str, tuple[Callable[[random.Random], str], tuple[str, ...]]] = {
    "card": (card, ("my card {} is lost", "pay with {}", "card: {}", "{} exp 10/29")),
    "IBAN": (iban, ("send it to {} please", "IBAN: {}", "{}", "my account {}, thanks")),
    "key": (key, ("oops, pushed {} to main", "{}", "use {} for the demo", "export X={}")),
    "password": (password, ("password: {}", "wifi password is {}" , "pwd={}", "Passwort: {} bitte",
                            "mot de passe : {}", "contraseña: {}", "senha: {}", "user bob pass: {}")),
    "e-mail": (lambda rng: rng.choice(("bob", "ann.lee", "x_y+z", "info")) + rng.choice(
        ("@mail.example", "@example.co.uk", " [at] example [dot] org", "@uni-bonn.example")),
        ("write to {}", "{}!", "mail: {}, thanks", "contact {} for details")),
}  # fmt: skip

NEGATIVES = (
    "on 2015-05-26 at 10:30", "since 05/26/2015 10:30", "am 01.02.2015 um 10:30", "06.12.2019",
    "tweet {18} was deleted", "status/{19}", "id {17}", "{19} again", "we won 102-99, 110-108, 5-4",
    "it costs $1,234,567,890", "only 1.299,00 € or $2025551234", "{10} € in total", "₹ 98,000 00000",
    "ISBN 978-3-16-148410-0", "ISBN 0-306-40615-2", "ISBN 9780306406157", "EAN 4006381333931",
    "Apollo 11 landed", "Expedition 43/44 crew", "STS-135 and Soyuz 11", "Falcon 9 flight 20",
    "Voyager 2 is 23 000 000 000 km away", "10 000 000 people", "+1000000", "650 000 000 people",
    "version 3.11.7.20261109", "v1.2.3-beta.4 build 20230115", "torch==2.13.0", "192.168.100.200",
    "#2024goals #100daysofcode", "#555", "in 2015 2016 2017", "from 1914-1918 to 1939-1945",
    "sha256 9f86d081884c7d659a2feaa0c55ad015", "commit 4433d82f1b2c", "uuid 123e4567-e89b-12d3-a456",
    "change your password today", "my password is on the fridge", "I forgot the password again",
    "password: never share it", "pass: it was offside", "a strong password is not enough",
    "das Passwort ist falsch", "the token economy is over", "the key is to listen more",
    "10 Ways To Drive", "5 years on the road", "24 Hours of Daytona", "2015 Rose Parade",
    "3 best places on Main Street", "a 5 minute drive", "the 12 Days of Christmas Way",
    "Platz 3 im Rennen", "Via Reuters 2015", "Weg 3 von 5", "R. Kelly 1995", "4 place in the race",
    "the 405 freeway", "10 Downing was a film", "route 66 again", "Chapter 12 Verse 4",
    "DE89 is not enough", "GB29 NWBK 6016 1331 9268 18", "4111 1111 1111 1112", "1234 5678 9012 3456",
    "lat 40.712776, -74.005974", "pi is 3.14159265358979", "1/2 cup, 3/4 spoon", "1600 x 1200 px",
    "at 3:56pm ET on July 14", "5pm-7pm, doors 4:30", "temperature -12 to -20", "7 13 22 34 41 12",
    "meet me @ home", "@nasa @esa great", "me @work", "a@b", "C/2014 Q2 Lovejoy", "RS-25 test 7",
    "unix time 1700000000", "1700000000123", "order 2023-000123", "flight LH 4312", "room 4.012",
)  # fmt: skip


def cases(seed: int = 0) -> list[Case]:
    """Make the posts, the same for a seed."""
    rng = random.Random(seed)
    made = []
    for country, forms in PHONES.items():
        calling = CALLING.get({"GB": "US", "IN": "US", "AU": "US"}.get(country, country), ())
        for form in forms * 8:
            piece = digits(rng, form)
            made.append(_case("phone", country, rng.choice(calling).format(piece), piece, rng))
    for country, streets in ADDRESSES.items():
        for street in streets * 8:
            piece = street.format(n=rng.randint(1, 199), d=rng.randint(1, 9))
            made.append(_case("address", country, rng.choice(LIVING).format(piece), piece, rng))
    for kind, (make, frames) in SECRETS.items():
        for _ in range(200):
            piece = make(rng)
            made.append(_case(kind, "", rng.choice(frames).format(piece), piece, rng))
    while sum(not case.piece for case in made) < sum(bool(case.piece) for case in made):
        text = rng.choice(NEGATIVES)
        for length in (10, 17, 18, 19):
            number = str(rng.randint(2, 9)) + "".join(rng.choices(string.digits, k=length - 1))
            text = text.replace(f"{{{length}}}", number)
        made.append(_case("nothing", "", text, "", rng))
    return made


def _case(kind: str, where: str, middle: str, piece: str, rng: random.Random) -> Case:
    before, after = (rng.choice((*WORDS, "")) for _ in range(2))
    return Case(kind, where, f"{before}{'. ' if before else ''}{middle} {after}".strip(), piece)


def measure(posts: list[Case]) -> tuple[dict[tuple[str, str], list[bool]], int, int, list[str]]:
    """Mask the posts: what was found by kind and country, right places, wrong places, misses."""
    found: dict[tuple[str, str], list[bool]] = {}
    right = wrong = 0
    notes = []
    for case in posts:
        masked = masking.mask(case.text)
        places = len(list(masking.found(masked)))
        if not case.piece:
            wrong += places
            notes += [f"wrong   {case.text!r} -> {masked!r}"] if places else []
            continue
        core = case.piece.split("=")[-1].split(": ")[-1]
        hit = core not in masked and places > 0
        right, wrong = right + min(places, hit), wrong + places - min(places, hit)
        found.setdefault((case.kind, case.where), []).append(hit)
        notes += [] if hit and places == 1 else [f"missed  {case.text!r} -> {masked!r}"]
    return found, right, wrong, notes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missed", action="store_true", help="print each post that was read wrong")
    parser.add_argument("--posts", help="a file of real posts, to count what is masked in it")
    args = parser.parse_args()
    posts = cases(args.seed)
    found, right, wrong, notes = measure(posts)
    print("| kind | country | pieces | found |\n|---|---|---:|---:|")
    for (kind, where), hits in found.items():
        print(f"| {kind} | {where} | {len(hits)} | {100 * sum(hits) / len(hits):.1f} % |")
    for kind in dict.fromkeys(kind for kind, _ in found):
        hits = [hit for (name, _), some in found.items() if name == kind for hit in some]
        print(f"| **{kind}** | all | {len(hits)} | {100 * sum(hits) / len(hits):.1f} % |")
    negatives = sum(not case.piece for case in posts)
    print(f"\nPrecision {100 * right / (right + wrong):.1f} %: {wrong} wrong places, "
          f"{negatives} posts that only look private.")  # fmt: skip
    if args.missed:
        print("\n".join(notes))
    if args.posts:
        count_real(args.posts)


def count_real(path: str) -> None:
    """Print what is masked in the posts of a file."""
    from collections import Counter

    from huggingtweets.sources import read_posts

    texts = read_posts([path])["text"].drop_nulls().to_list()
    masked = [(text, masking.mask(text)) for text in texts]
    changed = [(text, new) for text, new in masked if text != new]
    kinds = Counter(kind for _, new in changed for kind in masking.found(new))
    print(f"\n{path}: {len(changed)} of {len(texts)} posts masked, {dict(kinds)}")
    for text, new in changed[:60]:
        print(f"  {new}\n    was {text}")


if __name__ == "__main__":
    main()
