"""Runs one peer's measurement in a process of its own, so that it can be stopped and its libraries' threads end with it."""
import multiprocessing


def _report(measure, arguments, queue):
    try:
        queue.put(measure(*arguments))
    except ImportError as error:
        queue.put({"missing": str(error)})
    except Exception as error:  # a peer that fails on a problem is a result too
        queue.put({"failed": repr(error)})


def run_limited(measure, arguments, limit):
    """measure(*arguments), a dict; {"over": limit} after `limit` seconds, {"missing"} or {"failed"} with the reason."""
    context = multiprocessing.get_context("spawn")  # threads of one peer's libraries do not survive a fork
    queue = context.Queue()
    process = context.Process(target=_report, args=(measure, arguments, queue))
    process.start()
    try:
        return queue.get(timeout=limit)
    except Exception:
        return {"over": limit}
    finally:
        process.terminate()
        process.join()
