"""The worker's side of lib/contestant.mjs, in Python."""

import base64
import json
import sys
import time
import traceback


def answer(message):
    print("@@" + json.dumps(message), flush=True)


def floats(array):
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def serve(start):
    """start(options) → (info, prepare); prepare(work) → (run, outcome), as in serve.mjs."""
    try:
        info, prepare = start(json.loads(sys.argv[1]))
        answer({"result": {"runtime": f"Python {sys.version.split()[0]}", **info}})
        run = None
        for line in sys.stdin:
            request = json.loads(line)
            if request["operation"] == "prepare":
                run, outcome = prepare(request["work"])
                answer({"result": outcome(run())})
            else:
                times = []
                for _ in range(request["runs"]):
                    start_time = time.perf_counter()
                    run()
                    times.append(1e3 * (time.perf_counter() - start_time))
                answer({"result": times})
    except Exception:
        answer({"error": traceback.format_exc()})
