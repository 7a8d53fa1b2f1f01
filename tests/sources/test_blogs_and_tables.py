"""Exports of Reddit, LinkedIn and YouTube, and blogs: own public words, and nothing else."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.sources.cases import Sample
from tests.sources.table_cases import (
    LINKEDIN,
    REDDIT,
    REDDIT_POSTS,
    RSS_HEAD,
    RSS_TAIL,
    YOUTUBE,
    rss_item,
    table,
)

from huggingtweets.errors import SourceError
from huggingtweets.sources import open_source, read_posts, unwrap
from huggingtweets.sources._post_kind import NO_POST

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE = (
    "id,permalink,thread_id,date,ip,from,to,gildings,subject,body,media\n1,,,,,a,b,,s,hidden,\n"
)


def _files(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def _bytes(header: str, *rows: dict[str, object]) -> bytes:
    return b"".join(table(header, rows))


@pytest.mark.parametrize("name", ["export_oda_20240101.zip", "export_oda_20240101"])
def test_reddit_has_posts_and_comments_but_no_messages(tmp_path: Path, name: str) -> None:
    posts = _bytes(
        REDDIT_POSTS,
        {"id": "p1", "title": "My boat", "body": "It is green."},
        {"id": "p2", "title": "A link", "url": "https://x.example", "body": ""},
        {"id": "p3", "title": "A question", "body": "[removed]"},
    )
    comments = _bytes(REDDIT, {"id": "c1", "parent": "t1_z", "body": "Mine is not."})
    files = {"posts.csv": posts, "comments.csv": comments, "messages.csv": PRIVATE.encode()}
    read = read_posts([_files(tmp_path / name, files)])
    assert sorted(read["text"]) == ["A link", "A question", "Mine is not.", "My boat\nIt is green."]
    assert read["author"].unique().to_list() == ["oda"]
    assert read["source"].unique().to_list() == ["reddit"]
    with pytest.raises(SourceError, match="private messages"):
        read_posts([_files(tmp_path, {"messages.csv": PRIVATE.encode()}) / "messages.csv"])


def test_linkedin_leaves_out_what_only_connections_see(tmp_path: Path) -> None:
    shares = _bytes(
        LINKEDIN,
        {"Date": "2024-04-01 07:30:00", "ShareCommentary": "We ship!", "Visibility": "PUBLIC"},
        {"ShareCommentary": "For friends", "Visibility": "CONNECTIONS"},
    )
    comments = _bytes("Date,Link,Message", {"Date": "2024-04-02 07:30:00", "Message": "Well done"})
    files = {"Shares.csv": shares, "Comments.csv": comments, "Connections.csv": b"Notes:\n"}
    source = open_source(_files(tmp_path / "Basic_LinkedInDataExport.zip", files))
    assert [post.text for post in source.posts()] == ["Well done", "We ship!"]
    assert dict(source.left_out) == {"not public": 1}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ('{"takeoutSegments":[{"text":"one "},{"text":"two"}]}', "one two"),
        ('{"text":"one "},{"text":"two"}', "one two"),
        ('{"text":"broken', '{"text":"broken'),
        ("plain", "plain"),
    ],
)
def test_youtube_writes_comments_in_pieces(tmp_path: Path, written: str, text: str) -> None:
    rows = _bytes(YOUTUBE, {"Comment ID": "U1", "Comment Text": written})
    folder = _files(tmp_path, {"Takeout/YouTube/comments/comments(1).csv": rows})
    for path in (folder, folder / "Takeout/YouTube/comments/comments(1).csv"):
        assert read_posts([path])["text"].to_list() == [text]


def _wxr(kind: str, status: str, extra: str = "") -> str:
    fields = f"<wp:post_type>{kind}</wp:post_type><wp:status>{status}</wp:status>{extra}"
    return rss_item(Sample(1, f"{kind} {status}"), fields)


def test_wordpress_has_published_posts_only(tmp_path: Path) -> None:
    comment = "<wp:comment><wp:comment_content>of a reader</wp:comment_content></wp:comment>"
    items = (
        _wxr("post", "publish", comment),
        _wxr("post", "draft"),
        _wxr("post", "private"),
        _wxr("post", "publish", "<wp:post_password>x</wp:post_password>"),
        _wxr("page", "publish"),
        _wxr("attachment", "inherit"),
    )
    path = tmp_path / "blog.WordPress.xml"
    path.write_text(RSS_HEAD + "".join(items) + RSS_TAIL)
    source = open_source(path)
    assert [post.text for post in source.posts()] == ["post publish"]
    assert dict(source.left_out) == {"not public": 3, NO_POST: 2}  # type: ignore[attr-defined]


def test_blogger_has_posts_comments_and_settings_in_one_feed(tmp_path: Path) -> None:
    scheme = "http://schemas.google.com/g/2005#kind"
    entries = "".join(
        f'<entry><category scheme="{scheme}" term="http://schemas.google.com/blogger/2008/kind#'
        f'{kind}"/><title>{kind}</title><content>a {kind}</content>{draft}</entry>'
        for kind, draft in (
            ("post", ""),
            ("comment", ""),
            ("settings", ""),
            (
                "post",
                "<a:control xmlns:a='http://purl.org/atom/app#'><a:draft>yes</a:draft></a:control>",
            ),
        )
    )
    path = tmp_path / "blog.xml"
    path.write_text(f'<feed xmlns="http://www.w3.org/2005/Atom">{entries}</feed>')
    source = open_source(path)
    assert [post.text for post in source.posts()] == ["post\na post"]
    left_out = {"of other people": 1, NO_POST: 1, "not public": 1}
    assert dict(source.left_out) == left_out  # type: ignore[attr-defined]


def test_feeds_without_content_titles_and_dates_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "nitter.rss"
    path.write_text(
        '<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
        "<item><title>Ferry at noon &amp;amp; …</title>"
        "<description>&lt;p&gt;Ferry at noon &amp;amp; rain&lt;/p&gt;</description>"
        "<dc:creator>@oda</dc:creator>"
        "<pubDate>Tue, 03 Jan 2023 12:00:00 GMT</pubDate></item>"
        "<item><title>RT by @oda: words of others</title><description>words</description></item>"
        "<item><title>Only a title</title></item></channel></rss>"
    )
    posts = list(open_source(path).posts())
    assert [post.text for post in posts][::2] == ["Ferry at noon & rain", "Only a title"]
    assert [post.kind for post in posts] == ["original", "repost", "original"]
    assert posts[0].author == "oda"
    assert posts[0].created_at == datetime(2023, 1, 3, 12, tzinfo=UTC)


def test_linkedin_puts_marks_around_lines_and_before_quotes(tmp_path: Path) -> None:
    shares = 'Date,ShareCommentary,Visibility\n2023-01-03 12:00:00,"one""\n""two",PUBLIC\n'
    comments = 'Date,Link,Message\n2023-01-03 12:00:00,u,"He said \\"hi\\", and left"\n'
    files = {"Shares.csv": shares.encode(), "Comments.csv": comments.encode()}
    read = read_posts([_files(tmp_path / "a.zip", files)])
    assert read["text"].to_list() == ['He said "hi", and left', "one\ntwo"]


def _nitter_item(title: str, body: str, creator: str = "@oda") -> str:
    return (
        f"<item><title>{title}</title><dc:creator>{creator}</dc:creator>"
        f"<description><![CDATA[{body}]]></description></item>"
    )


def test_nitter_adds_words_to_titles_and_others_words_to_quotes(tmp_path: Path) -> None:
    quoted = "<hr/>\n<blockquote><b>Bram (@bram)</b>\n<p>words of others</p></blockquote>"
    (tmp_path / "rss.xml").write_text(
        '<rss xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>'
        + _nitter_item("R to @bram: my answer", "<p>my answer</p>")
        + _nitter_item("Pinned: my boat", "<p>my boat</p>")
        + _nitter_item("my view", f"<p>my view</p>{quoted}")
        + _nitter_item("RT by @oda: words of others", "<p>words of others</p>", "@bram")
        + "</channel></rss>"
    )
    posts = list(open_source(tmp_path / "rss.xml").posts())
    assert [post.text for post in posts[:3]] == ["my answer", "my boat", "my view"]
    assert [post.kind for post in posts] == ["reply", "original", "original", "repost"]
    assert {post.author for post in posts} == {"oda"}


def test_guests_of_a_blog_are_left_out(tmp_path: Path) -> None:
    items = "".join(
        f"<item><title>{name}</title><description>words of {name}</description>{creator}</item>"
        for name in ("oda", "oda", "guest", "nobody")
        for creator in [f"<creator>{name}</creator>" if name != "nobody" else ""]
    )
    (tmp_path / "blog.xml").write_text(f"<rss><channel>{items}{items}</channel></rss>")
    source = unwrap(open_source(tmp_path / "blog.xml"))
    texts = {post.text for post in source.posts()}
    assert texts == {"oda\nwords of oda", "nobody\nwords of nobody"}
    assert source.left_out == {"of other people": 2}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "header", ["title,url,tweet_id,from_user_screen_name", "post_id,is_published,title,subtitle"]
)
def test_titles_alone_are_not_posts(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"{header}\na,b,c,d\n")
    with pytest.raises(SourceError, match="no text column"):
        read_posts([tmp_path / "a.csv"])


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><rss>&c;</rss>', "defines entities"),
        (
            '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/x">]><rss>&a;</rss>',
            "defines entities",
        ),
        ("<opml><body/></opml>", "neither a feed"),
        ("<rss><channel></channel></rss>", "holds no published posts"),
        ("<rss><channel>", "is damaged XML"),
        ("", "is damaged XML"),
        ('<?xml version="1.0" encoding="nonsense"?><rss/>', "is damaged XML"),
        ("<html><body>", "neither a feed"),
    ],
)
def test_what_is_no_feed_gets_one_sentence(tmp_path: Path, document: str, says: str) -> None:
    (tmp_path / "a.xml").write_text(document)
    with pytest.raises(SourceError, match=says) as caught:
        read_posts([tmp_path / "a.xml"])
    assert "\n" not in str(caught.value)
