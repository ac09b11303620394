"""Push a folder of results to a repository on the Hugging Face Hub.

`access` checks before training that the push is allowed, `contents` selects the files, `client`
makes one commit of them, and `pusher` does that in the background while training continues. No
other package writes to the Hub.
"""
