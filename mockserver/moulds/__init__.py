"""Moulds: the commonest answers, with gaps where one differs from the next.

Chats of plain texts are answered again and again in the same shape. The first answers go the way of all; beside one of
them a mould is cast, by letting surface and dialect spell an answer of marks instead of values. So what they say of
shapes, names and headers is said once. A mould that does not give back, byte for byte, the answer that it was cast
beside, is thrown away.
"""
