"""The field's sets and networks from where they are published: fetch, resume, take from disk, verify, describe.

The only room that uses the network.
"""
