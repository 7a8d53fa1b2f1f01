"""The words of posts: what topics are named after, and the vectors that need no model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = regex.compile(
    rf"<\w+>|@\w+|[{_UNSPACED}]+|#?(?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}_])+"
    rf"(?:['’-](?:(?![{_UNSPACED}])[\p{{L}}\p{{M}}\p{{N}}_])+)*"
)
_FIRST_UNSPACED = regex.compile(rf"[{_UNSPACED}]")
_UNSPACED_WORD = regex.compile(r"([\p{Katakana}ー]{2,})|[^\p{Hiragana}\p{Katakana}ー]+")
"""Katakana writes whole words; Hiragana mostly endings and particles, which tell no topic."""
_CONTRACTED = regex.compile(r"['’](?:s|m|re|ve|ll|d|t)$")

_DIMENSIONS = 100
_FIT_ON = 20_000  # posts; the components of more are nearly the same
_MOST_WORDS = 30_000
_FEW = 100  # posts
_TOO_COMMON = 0.4  # share of the posts; function words of languages without a list of them


class WordCounts:
    """How often each post uses each word.

    Attributes:
        matrix: sparse, (posts, words).
        words: the words of the columns.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        counter = CountVectorizer(
            analyzer=words_of,
            min_df=2 if len(texts) > _FEW else 1,
            max_df=_TOO_COMMON if len(texts) > _FEW else 1.0,
            max_features=_MOST_WORDS,
        )
        try:
            self.matrix: Any = counter.fit_transform(texts)
        except ValueError:  # no word is left
            counter = CountVectorizer(analyzer=words_of, vocabulary=[""])
            self.matrix = counter.fit_transform(texts)
        self.words: list[str] = counter.get_feature_names_out().tolist()

    def vectors(self, seed: int = 0) -> Any:  # noqa: ANN401 - an array
        """Return a vector of length 1 for each post: TF-IDF, then SVD ("latent semantic analysis").

        Deerwester et al. 1990. A post without words has the vector 0.
        """
        import numpy as np
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer
        from sklearn.preprocessing import normalize

        weighted = TfidfTransformer(sublinear_tf=True).fit_transform(self.matrix.astype(np.float32))
        size = min(_DIMENSIONS, *(length - 1 for length in weighted.shape))
        if size < 2:
            return weighted.toarray()  # TfidfTransformer's rows have length 1
        model = TruncatedSVD(size, n_iter=4, random_state=seed)
        chosen = np.random.default_rng(seed).permutation(weighted.shape[0])[:_FIT_ON]
        model.fit(weighted[np.sort(chosen)])
        return normalize(model.transform(weighted)).astype(np.float32)


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text that may tell its topic, in lower case, hashtags with ``#``.

    Function words of English, single letters, numbers, mentions and masked data are left out. Where
    a script has no spaces between words, each two characters that follow each other count as one;
    of Japanese, words in Katakana count whole, and Hiragana is left out.
    """
    stop = _stop_words()
    for token in _TOKEN.findall(text.lower()):
        if token[0] in "<@":
            continue
        if _FIRST_UNSPACED.match(token):
            yield from _words_of_unspaced(token)
            continue
        word = _CONTRACTED.sub("", token)
        plain = word.lstrip("#")
        if len(plain) > 1 and plain not in stop and not plain.replace("-", "").isdigit():
            yield word


def _words_of_unspaced(token: str) -> Iterator[str]:
    for match in _UNSPACED_WORD.finditer(token):
        word = match[0]
        if match[1]:
            yield word
        else:
            yield from (word[at : at + 2] for at in range(max(1, len(word) - 1)))


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | _MORE


_MORE = frozenset(
    {"amp", "just", "like", "don", "didn", "doesn", "isn", "wasn", "couldn", "wouldn", "won", "ain"}
    | {"aren", "haven", "hasn", "hadn", "shouldn", "let", "going", "got", "get", "im", "dont"}
    | {"thats", "youre", "via", "rt", "ll", "ve", "re"}
    # times of the day, which announcements name whatever they announce
    | {"am", "pm", "et", "est", "edt", "ct", "cst", "cdt", "mt", "pt", "pst", "pdt", "utc", "gmt"}
)
