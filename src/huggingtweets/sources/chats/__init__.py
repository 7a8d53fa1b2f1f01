"""Exports of chats: messages of several people, of which one person's become posts."""
