# An example of a build on a pushed image: it adds your code and your versions of the vendor's scripts.
# `docs/en/docker.md` has the command. It needs neither BuildKit nor a network.
ARG IMAGE
FROM ${IMAGE}

# `ma-user` may not write everywhere; `fmk-patch` keeps the owner of what it patches.
USER root

# 1000:100 is `ma-user` and its group. Without `--chown`, copies belong to root.
COPY --chown=1000:100 code/ /home/ma-user/code/
COPY --chown=1000:100 ascend910/ /home/ma-user/ascend910/

# Makes both edits to `fmk.py` or none. If one of them can't be made, the build ends here and says why.
RUN fmk-patch /home/ma-user/ascend910

USER ma-user
