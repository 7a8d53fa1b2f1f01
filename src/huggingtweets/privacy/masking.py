"""Mask private data in posts: secrets, ways to reach somebody, and mentions of others.

Each kind is found by its form and, where there is one, by its check digits; what is found becomes
a placeholder such as ``<email>``. This is no guarantee: names, numbers in words and unusual forms
stay. ``benchmarks/masking.py`` measures precision and recall.

Forms of tokens are those of their issuers' documentation. All patterns take linear time: each
repetition is bounded, or ends at a character that the pattern can't begin in the middle of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from huggingtweets.errors import InputError
from huggingtweets.privacy import _addresses, _phones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Mask = Literal["secrets", "personal", "mentions"]
"""What is masked: only secrets; also e-mail addresses, phone numbers and street addresses; also
mentions of others."""

LEVELS: tuple[Mask, ...] = get_args(Mask)

PLACEHOLDERS = {
    "<key>": "keys and tokens",
    "<password>": "passwords",
    "<card>": "card numbers",
    "<iban>": "IBANs",
    "<email>": "e-mail addresses",
    "<phone>": "phone numbers",
    "<address>": "street addresses",
}
"""Each placeholder with the name of its kind. Mentions become ``@user``, which is not counted:
people write that themselves."""

_ONE = {
    "keys and tokens": "key or token",
    "passwords": "password",
    "card numbers": "card number",
    "IBANs": "IBAN",
    "e-mail addresses": "e-mail address",
    "phone numbers": "phone number",
    "street addresses": "street address",
}


def counted(masked: Mapping[str, int]) -> list[str]:
    """Return each number with its kind for a message: ``1 phone number``, ``12 IBANs``."""
    return [f"{n:,} {_ONE.get(kind, kind) if n == 1 else kind}" for kind, n in masked.items()]


# --- secrets ------------------------------------------------------------------------------------

_PRIVATE_KEY = re.compile(
    r"-----BEGIN[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----"
    r"[\s\S]*?(?:-----END[A-Z0-9 ]{0,40} PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_LONG_WORD = re.compile(r"[\w./+=-]{16}")
_BEGINNING = r"(?<![A-Za-z0-9_-])"
_TOKEN = re.compile(
    _BEGINNING
    + r"""(?:
        (?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])                      # AWS
      | gh[pousr]_[A-Za-z0-9]{30,255} | github_pat_\w{20,255}                   # GitHub
      | gl(?:pat|ptt|dt|rt|ft|soat|agent|oas|imt)-[\w-]{20,255}                 # GitLab
      | xox[abeoprs]-[\w-]{10,255} | xapp-[\w-]{20,255}                         # Slack
      | [sr]k_(?:live|test)_[A-Za-z0-9]{16,255} | whsec_[A-Za-z0-9+/=]{20,255}  # Stripe
      | sk-(?=[A-Za-z_-]{0,40}\d)[\w-]{20,255}                                  # OpenAI, Anthropic
      | AIza[\w-]{35} | ya29\.[\w-]{20,1024} | GOCSPX-[\w-]{20,60}              # Google
      | hf_[A-Za-z0-9]{30,60} | r8_[A-Za-z0-9]{30,60} | gsk_[A-Za-z0-9]{30,90}  # HF, Replicate, Groq
      | npm_[A-Za-z0-9]{30,60} | pypi-AgE[\w-]{30,1024}                         # package indexes
      | dop_v1_[a-f0-9]{60,70} | shp(?:at|ss|ca|pa)_[a-fA-F0-9]{30,40}          # DigitalOcean, Shopify
      | SG\.[\w-]{16,40}\.[\w-]{16,90}                                          # SendGrid
      | (?:AC|SK)[a-f0-9]{32}(?!\w) | key-[a-f0-9]{32}(?!\w)                    # Twilio, Mailgun
      | [a-f0-9]{32}-us\d{1,2}(?!\w)                                            # Mailchimp
      | sq0(?:atp|csp|idp)-[\w-]{20,60} | EAAA[\w-]{55,70}                      # Square
      | \d{8,10}:AA[\w-]{33}(?![\w-])                                           # Telegram
      | [MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])                      # Discord
      | eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}(?:\.[\w-]{0,1000})?                # JSON web token
      | secret_[A-Za-z0-9]{40,50} | lin_api_[A-Za-z0-9]{40} | figd_[\w-]{40}    # Notion, Linear, Figma
    )""",
    re.VERBOSE,
)

_LABELLED_KEY = re.compile(
    r"\b(?:api|access|secret|auth|account|private|bearer|client)?[ _-]?(?:key|token|secret|bearer)"
    r"(?:[ _-](?:id|key))?[\"']?\s{0,3}(?:is|[:=]{1,2}|=>|：)\s{0,3}[\"']?"
    r"(?P<value>(?=[A-Za-z_./+=-]{0,60}\d)(?=[\d_./+=-]{0,60}[A-Za-z])[\w./+=-]{16,255})",
    re.IGNORECASE,
)
"""A long word of letters and digits after "api key:", "token is", …"""

_WORDS_FOR_IT = (
    r"(?:pass\s?word|pass\s?code|pass\s?phrase|passwd|pwd|pass|passwort|kennwort|mot\s?de\s?passe|mdp"
    r"|contrase[ñn]a|clave|senha|wachtwoord|has[łl]o|l[öo]senord|пароль|şifre|sifre|parola"
    r"|パスワード|密码|密碼|비밀번호)"
)
_PASSWORD_WORDS = (
    "pass", "pwd", "kennwort", "mdp", "contrase", "clave", "senha", "wachtwoord", "haslo", "hasło",
    "losenord", "lösenord", "пароль", "şifre", "sifre", "parola", "パスワード", "密码", "密碼", "비밀번호",
)  # fmt: skip
_PASSWORD = re.compile(
    rf"(?<!\w){_WORDS_FOR_IT}(?:\s?\([^()\n]{{1,30}}\))?"
    r"(?P<sign>\s{0,3}[:=：]|\s{1,3}(?:is|ist|est|es|é|e|är|jest)(?=[\s:]):?)\s{0,3}"
    r"(?P<value>[\"'“‘«][^\"'”’»\n]{3,80}|[^\s<>\"'“”‘’]{4,100})",
    re.IGNORECASE,
)
_IS_WIFI = re.compile(r"(?:wi-?fi|wlan)['’]?s?\s$", re.IGNORECASE)
_PASSWORD_IN_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@<>]{0,60}:(?P<value>[^\s/@<>]{3,100})@"
)
_NO_PASSWORD = frozenset(
    "a an any another be better changed changing do don don't easy expired for forget forgot "
    "forgotten generator has how if in incorrect invalid is it keep leaked lost manager managers "
    "my necessary needed never no not now of one only our out please policy pls protected "
    "protection recovery required reset resets same secure security share so still strength "
    "strong stronger that the their there these they this to today too use using weak what why "
    "with wrong you your yours das der die ein eine falsch kein nicht vergessen ändern pas votre "
    "une le la un oublié no la el una olvidada no uma o não esqueci niet het een".split()
)
"""Words after "password:" that begin a sentence about passwords."""

_DIGITS = re.compile(_phones.MAY_MATCH)
_CARD = re.compile(
    r"(?<![\w.,/-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{1,3})?"  # Visa, Mastercard, …
    r"|3\d{3}([ -]?)\d{6}\2\d{4,5})(?![\w-]|[.,]\d)"  # American Express, Diners Club
)
_CARD_PREFIX = re.compile(
    r"4\d{15}(?:\d{3})?|(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)\d+|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8])\d+|6(?:011|4[4-9]|5|2)\d+|(?:50|5[6-9]|6)\d+"
)
"""By issuer, as in ISO/IEC 7812: Visa, Mastercard, American Express, Diners, JCB, Discover and
UnionPay, Maestro."""

_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{4})")
_IBAN_LENGTHS = {
    code: length
    for length, codes in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV", 22: "BG BH DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL",
        24: "AD CZ DZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL", 29: "BR EG PS QA UA",
        30: "JO KW MU", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
"""Characters of each country's IBAN, of SWIFT's registry (release 99)."""

# Rust regular expressions of what a text holds that a rule changes. Each is made of literals or
# begins with a rare character; several such are searched in less time than one with all of them.
_MAY_HOLD_KEY = (
    r"-----BEGIN|(?:A[KSB]IA|ACCA)[A-Z0-9]|gh[pousr]_[A-Za-z0-9]|github_pat_|gl[a-z]{2,5}-[A-Za-z0-9_-]{20}"
    r"|xox[a-z]-|xapp-|[sr]k_(?:live|test)_|whsec_|sk-[A-Za-z0-9_-]{20}|AIza|ya29\.|GOCSPX-|pypi-AgE|dop_v1_"
    r"|(?:hf|r8|gsk|npm)_[A-Za-z0-9]{30}|shp[a-z]{2}_|SG\.[A-Za-z0-9_-]{16}|[a-f0-9]{32}|sq0[a-z]{3}-|EAAA"
    r"|[0-9]:AA|\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27}|eyJ|secret_|lin_api_|figd_",
    r"(?i:key|token|secret|bearer)(?s:.){0,9}[A-Za-z0-9_./+=-]{16}",
)
_MAY_HOLD_PASSWORD = (
    r"(?i)(?:pass\s?(?:word|code|phrase|wd|wort)?|pwd|kennwort|mot\s?de\s?passe|mdp|contrase[ñn]a|clave|senha"
    r"|wachtwoord|has[łl]o|l[öo]senord|пароль|[şs]ifre|parola|パスワード|密码|密碼|비밀번호)"
    r"(?:\s?\([^()\n]{1,30}\))?\s{0,3}(?:[:=：]|(?:is|ist|est|es|é|e|är|jest)[\s:])",
    r"://[^\s/@]+:[^\s/@]+@",
)
_MAY_HOLD_EMAIL = (r"[A-Za-z0-9_%+-]@", r"[\[({]\s?(?i:at|ät|@)\s?[\])}]")

# --- people -------------------------------------------------------------------------------------

# A handle of X (@nasa), Mastodon (@nasa@mastodon.social) or Bluesky (@nasa.bsky.social). An @ after
# a letter is part of an e-mail address.
_MENTION = re.compile(r"(?<![\w@>])@(\w+(?:[.-]\w+)*(?:@\w+(?:[.-]\w+)*)?)")

# A run of the characters of an address, and its domain if there is one. Each run is searched once:
# a pattern that starts at every word would take a minute for 100,000 characters of "a.a.a.a.".
_MAYBE_EMAIL = re.compile(r"[\w.%+-]++(?:(?<!\.)(@(?:[\w-]+\.)+[^\W\d_]{2,}))?")
# Not the tail of a Mastodon handle that stays because it belongs to an author.
_EMAIL_START = re.compile(r"(?<![\w@])\w")
_SPELLED_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}\s?(?:[\[({]\s?(?:at|ät|@)\s?[\])}])\s?"
    r"[A-Za-z0-9][\w-]{0,62}(?:\s?[\[({]\s?(?:dot|punkt|\.)\s?[\])}]\s?|\.)[A-Za-z0-9.-]{2,60}",
    re.IGNORECASE,
)
"""``bob [at] example [dot] org``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of private data, or several in a row, are replaced.

    Attributes:
        may_match: Rust regular expressions; a text that the rule changes matches one of them.
        replace: a function of a text, or rules that are applied one after the other.
    """

    may_match: tuple[str, ...]
    replace: Callable[[str], str] | tuple[Rule, ...]

    def __call__(self, text: str) -> str:
        """Return a text with such data replaced."""
        if isinstance(self.replace, tuple):
            for rule in self.replace:
                text = rule(text)
            return text
        return self.replace(text)


def mask(text: str, level: Mask = "personal", authors: frozenset[str] = frozenset()) -> str:
    """Replace private data by placeholders; masking again changes nothing.

    Args:
        text: a post.
        level: what is masked; see :data:`Mask`.
        authors: lower-case handles without ``@`` whose mentions stay.
    """
    for rule in rules(level, authors):
        text = rule(text)
    return text


def rules(level: Mask, authors: frozenset[str] = frozenset()) -> tuple[Rule, ...]:
    """Return what :func:`mask` does, in order, for a column of texts."""
    if level == "secrets":
        return _SECRETS
    if level == "personal":
        return _SECRETS + _PERSONAL
    mentions = Rule(("@",), lambda text: _MENTION.sub(_mask_unless_author(authors), text))
    return (*_SECRETS, *_PERSONAL, mentions)


def reveals(text: str, prompt: str, level: Mask) -> bool:
    """Whether a generated text has private data that its prompt doesn't.

    Args:
        text: prompt included.
        prompt: what the text begins with.
        level: what counts; mentions never do.
    """
    if level == "mentions":
        level = "personal"
    masked = mask(text, level)
    if masked == text:
        return False
    return not (prompt and masked == mask(prompt, level) + text[len(prompt) :])


def check(level: str) -> None:
    """Raise an error if there is no such level.

    Raises:
        InputError: it names those that exist.
    """
    if level not in LEVELS:
        raise InputError(f"mask must be {', '.join(LEVELS[:-1])} or {LEVELS[-1]}, not {level!r}.")


def level_of(config: Mapping[str, Any]) -> Mask:
    """Return what a run masks, from its configuration; ``personal`` if it is older than masking."""
    curation = config.get("curation")
    level = curation.get("mask") if isinstance(curation, dict) else None
    return level if level in LEVELS else "personal"


# --- how each kind is replaced ------------------------------------------------------------------


def _mask_keys(text: str) -> str:
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub("<key>", text)
    if not _LONG_WORD.search(text):
        return text
    text = _TOKEN.sub("<key>", text)
    return _LABELLED_KEY.sub(lambda match: _instead(match, "<key>"), text)


def _mask_passwords(text: str) -> str:
    if "://" in text:
        text = _PASSWORD_IN_ADDRESS.sub(lambda match: _instead(match, "<password>"), text)
    lower = text.lower()
    if any(word in lower for word in _PASSWORD_WORDS):
        text = _PASSWORD.sub(_mask_password, text)
    return text


def _mask_password(match: re.Match[str]) -> str:
    value = match["value"]
    word = value.strip("\"'“”‘’«».,;:!?()…").lower()
    quoted = value[0] in "\"'“‘«"
    if not word or (word in _NO_PASSWORD and not quoted):
        return match[0]
    # "the password is on the fridge": after a verb, only what isn't a plain word
    if match["sign"][-1] not in ":=：":
        looks_made_up = re.search(r"[\d_#$%&*@^]|[A-Z]", value)
        if not (
            quoted
            or looks_made_up
            or _IS_WIFI.search(match.string[max(0, match.start() - 8) : match.start()])
        ):
            return match[0]
    kept = "" if quoted else re.search(r"[.,;:!?)…]*$", value)[0]  # type: ignore[index]
    opening = value[0] if quoted else ""
    return f"{match[0][: match.start('value') - match.start()]}{opening}<password>{kept}"


def _instead(match: re.Match[str], placeholder: str) -> str:
    start, end = (place - match.start() for place in match.span("value"))
    return f"{match[0][:start]}{placeholder}{match[0][end:]}"


def _mask_cards(text: str) -> str:
    if not _DIGITS.search(text):
        return text
    return _CARD.sub(lambda match: "<card>" if _is_card(match[0]) else match[0], text)


def _is_card(text: str) -> bool:
    """Whether it has the form of an issuer's numbers and the check digit of ISO/IEC 7812 (Luhn)."""
    digits = re.sub(r"\D", "", text)
    # ids of posts have 17 to 19 digits, and one in ten has a valid check digit by chance
    if not (14 <= len(digits) <= 16 or len(digits) < len(text)):
        return False
    if not _CARD_PREFIX.fullmatch(digits) or len(set(digits)) < 2:
        return False
    doubled = [int(digit) * (2 - i % 2) for i, digit in enumerate(digits[::-1], 1)]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def _mask_ibans(text: str) -> str:
    if not _DIGITS.search(text):
        return text
    parts, done = [], 0
    for start in _IBAN_START.finditer(text):
        end = _iban_end(text, start.start()) if start.start() >= done else None
        if end:
            parts += [text[done : start.start()], "<iban>"]
            done = end
    return "".join([*parts, text[done:]])


def _iban_end(text: str, start: int) -> int | None:
    """Return where the IBAN that starts here ends; None if it is none (ISO 13616, mod 97)."""
    length = _IBAN_LENGTHS.get(text[start : start + 2].upper(), 0)
    characters, at = "", start
    while len(characters) < length and at < len(text):
        if text[at].isascii() and text[at].isalnum():
            characters += text[at].upper()
        elif text[at] not in " -" or text[at - 1] in " -":
            return None
        at += 1
    is_cut = at < len(text) and text[at].isalnum()
    if not length or len(characters) < length or is_cut:
        return None
    number = "".join(str(int(character, 36)) for character in characters[4:] + characters[:4])
    return at if int(number) % 97 == 1 else None


def _mask_emails(text: str) -> str:
    if "@" in text:
        text = _MAYBE_EMAIL.sub(_mask_email, text)
    if "[" in text or "(" in text or "{" in text:
        text = _SPELLED_EMAIL.sub("<email>", text)
    return text


def _mask_email(run: re.Match[str]) -> str:
    start = _EMAIL_START.search(run.string, run.start(), run.start(1)) if run[1] else None
    return f"{run.string[run.start() : start.start()]}<email>" if start else run[0]


def _mask_unless_author(authors: frozenset[str]) -> Callable[[re.Match[str]], str]:
    def replace(mention: re.Match[str]) -> str:
        handle = mention[1].lower()
        # In "@nasa.Great news", the sentence after the handle looks like a Bluesky domain.
        is_author = {handle, handle.split("@")[0], handle.split(".")[0]} & authors
        return mention[0] if is_author else "@user"

    return replace


_SECRETS = (
    Rule(_MAY_HOLD_KEY, _mask_keys),
    Rule(_MAY_HOLD_PASSWORD, _mask_passwords),
    Rule((_phones.MAY_MATCH,), lambda text: _mask_cards(_mask_ibans(text))),
)
_PERSONAL = (
    Rule(_MAY_HOLD_EMAIL, _mask_emails),
    Rule((_phones.MAY_MATCH,), _phones.mask),
    Rule(
        _addresses.DIGITS,
        tuple(
            Rule(may_match, partial(_addresses.mask_form, form=form))
            for form, may_match in _addresses.FORMS
        ),
    ),
)


def found(text: str) -> Iterator[str]:
    """Yield the kind of each placeholder in a text."""
    for placeholder in re.findall("|".join(PLACEHOLDERS), text):
        yield PLACEHOLDERS[placeholder]
