"""The sight check: ask an endpoint about pictures that were drawn a moment ago, and judge whether it
saw them.
"""
