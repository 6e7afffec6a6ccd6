"""The figures as tables and plots, and into README.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterable, NamedTuple

from .calls import median, ratio

HERE = Path(__file__).parent
PAGES = {"en": HERE / "README.md", "zh": HERE / "README.zh-CN.md"}
BEGIN, END = "<!-- measured -->\n", "<!-- end of measured -->\n"

#: What each contender is, where the name does not say it.
WHAT = {
    "wxlogistics": ("`Client`, whole", "`Client`，整个调用"),
    "urllib3": ("`PoolManager.request`, `json.loads`",) * 2,
    "requests": ("`Session.post(…).json()`",) * 2,
    "wechatpy": ("`WeChatClient.post`",) * 2,
    "httpx": ("`Client.post(…).json()`",) * 2,
    "http.client": ("`HTTPConnection`, `json.loads`",) * 2,
    "socket": ("sendall, recv, `json.loads`",) * 2,
}


class Figures(NamedTuple):
    """
    All that is measured; CPU in microseconds, times in milliseconds.
    """

    machine: str
    missing: list[str]
    query: dict[str, list[float]]
    carriers: dict[str, list[float]]
    threads: dict[str, dict[int, float]]
    delay: int
    bulk: dict[int, tuple[float, float]]
    imports: tuple[float, float]
    sandbox: dict[int, float]
    tls_calls: int
    handshakes: int


def tables(figures: Figures, language: str) -> str:
    """
    Return the figures as Markdown.
    """

    def say(english: str, chinese: str) -> str:
        return english if language == "en" else chinese

    counts = list(figures.bulk)
    threads, urllib3 = figures.threads["wxlogistics"], figures.threads["urllib3"]
    parts = [
        say(f"Measured on {figures.machine}.", f"测量环境：{figures.machine}。"),
        say("### One query", "### 一次查询"),
        _calls(figures.query, say),
        say("### The list of 1,500 carriers", "### 1,500 家快递公司的列表"),
        _calls(figures.carriers, say),
        say("### Threads", "### 线程"),
        say(
            "Queries over one client, from threads against a server that answers at "
            f"once, and by `query_many` against one that takes {figures.delay} ms.",
            "多个线程共用一个客户端查询：先对立即返回的服务器，再用 `query_many` 对 "
            f"{figures.delay} ms 后才返回的服务器。",
        ),
        _table(
            [
                say("threads", "线程数"),
                say("at once: CPU, µs", "立即返回：CPU（µs）"),
                say("urllib3, the same", "urllib3 同样情况"),
                say(f"{figures.delay} ms: CPU, µs", f"{figures.delay} ms：CPU（µs）"),
                say("queries/s", "查询数/秒"),
                say("of the ideal", "占理想值"),
            ],
            [
                [
                    str(count),
                    f"{threads[count]:.0f}",
                    f"{urllib3[count]:.0f}",
                    f"{figures.bulk[count][1]:.0f}",
                    f"{figures.bulk[count][0]:.0f}",
                    f"{figures.bulk[count][0] * figures.delay / count / 1000:.0%}",
                ]
                for count in counts
            ],
        ),
        say("### The rest", "### 其他"),
        _table(
            [say("what", "项目"), say("measured", "结果")],
            [
                [
                    say(
                        "`import wxlogistics`, after requests and attrs",
                        "`import wxlogistics`（requests、attrs 已导入）",
                    ),
                    f"{figures.imports[1]:.1f} ms",
                ],
                [
                    say("requests and attrs themselves", "requests 与 attrs 本身"),
                    f"{figures.imports[0]:.1f} ms",
                ],
                [
                    say(
                        f"TLS handshakes for {figures.tls_calls:,} calls of 16 threads",
                        f"16 个线程共 {figures.tls_calls:,} 次调用的 TLS 握手次数",
                    ),
                    str(figures.handshakes),
                ],
                *(
                    [
                        say(
                            "sandbox over HTTP, 8 clients, one core, "
                            f"{waybills:,} waybills",
                            f"沙箱 HTTP 服务，8 个客户端，单核，{waybills:,} 个运单",
                        ),
                        say(f"{rate:,.0f} calls/s", f"{rate:,.0f} 次/秒"),
                    ]
                    for waybills, rate in figures.sandbox.items()
                ),
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _calls(taken: dict[str, list[float]], say: Callable[[str, str], str]) -> str:
    return _table(
        [
            "",
            say("how", "方式"),
            say("CPU, µs", "CPU（µs）"),
            say("of urllib3's", "与 urllib3 之比"),
            say("wxlogistics takes of it", "wxlogistics 与它之比"),
        ],
        [
            [
                f"**{name}**" if name == "wxlogistics" else name,
                say(*WHAT[name]),
                f"{median(values):.0f}",
                f"{ratio(values, taken['urllib3']):.2f}",
                f"{ratio(taken['wxlogistics'], values):.2f}",
            ]
            for name, values in taken.items()
        ],
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(figures: Figures) -> None:
    """
    Write the tables into the pages, and the plots beside them.
    """
    for language, page in PAGES.items():
        text = page.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        measured = f"{begin}\n{tables(figures, language)}\n{end}"
        page.write_text(before + measured + after, encoding="utf-8")
    try:
        import matplotlib
    except ImportError:
        print("No plots: matplotlib is not installed.")
        return
    matplotlib.use("svg")
    # So that equal figures make equal files.
    matplotlib.rcParams["svg.hashsalt"] = "wxlogistics"
    _plot("performance-calls.svg", lambda axes: _plot_calls(axes, figures))
    _plot("performance-threads.svg", lambda axes: _plot_threads(axes, figures))
    _plot("performance-bulk.svg", lambda axes: _plot_bulk(axes, figures))


def _plot(name: str, draw: Callable[[Any], None]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    path = HERE / name
    figure.savefig(path, metadata={"Date": None})
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(map(str.rstrip, lines)) + "\n", encoding="utf-8")


def _plot_calls(axes: Any, figures: Figures) -> None:
    names = sorted(figures.query, key=lambda name: median(figures.query[name]))
    values = [median(figures.query[name]) for name in names]
    colours = ["#00897b" if name == "wxlogistics" else "#b0bec5" for name in names]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=4)
    axes.set_xlabel("CPU per query, µs")


def _plot_threads(axes: Any, figures: Figures) -> None:
    for (name, found), colour in zip(figures.threads.items(), ("#00897b", "#78909c")):
        axes.plot(list(found), list(found.values()), "o-", label=name, color=colour)
    _count_axis(axes, figures, "threads sharing one client")
    waiting = [cpu for _, cpu in figures.bulk.values()]
    label = f"query_many, answers after {figures.delay} ms"
    axes.plot(list(figures.bulk), waiting, "s--", label=label, color="#00897b")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("CPU per query, µs")
    axes.legend(frameon=False)


def _plot_bulk(axes: Any, figures: Figures) -> None:
    counts = list(figures.bulk)
    ideal = [count * 1000 / figures.delay for count in counts]
    axes.plot(counts, ideal, "--", color="#b0bec5", label="ideal")
    rates = [rate for rate, _ in figures.bulk.values()]
    axes.plot(counts, rates, "o-", color="#00897b", label="query_many")
    _count_axis(axes, figures, f"workers; answers after {figures.delay} ms")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.set_ylabel("queries a second")
    axes.legend(frameon=False)


def _count_axis(axes: Any, figures: Figures, label: str) -> None:
    counts = list(figures.bulk)
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set_xlabel(label)
