"""The local page: a video is dropped on it, and answers come with what the model looks at.

One process answers HTTP and knows no JAX; another one, its child, opens videos and computes, one
at a time. What hangs, crashes or takes too long in there is ended from outside, and a new child is
started: nothing that is uploaded can stop the server.

    limits    what a request may ask for
    child     the computing process, as its parent sees it
    worker    the computing process itself
    answers   one video to an answer and pictures
    jobs      one computation at a time, a bounded queue
    kept      pictures of the last answers
    uploads   a request's body to a file
    guard     who may ask, and what browsers may do with the answers
    app       routes
    server    sockets, signals, start and end
"""

from vidtx.serving.limits import Limits

__all__ = ["Limits"]
