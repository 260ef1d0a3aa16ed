# Look-alike, written for these tests, of the refactored shape: Popen is in no switch_directory, the process log is there
# already with an f-string, and the manager is in the same file.
import os
import subprocess
import time
from typing import Dict, List

from common import ModelArts, RunAscendLog


class FMK:
    log = RunAscendLog.get_run_ascend_logger()

    def __init__(self, index, device):
        self.job_id = ModelArts.get_job_id()
        self.rank_id = device.rank_id
        self.device_id = str(index)

    def gen_env_for_fmk(self, rank_size: int) -> Dict[str, str]:
        current_envs = os.environ.copy()
        current_envs.update({"JOB_ID": self.job_id, "RANK_ID": self.rank_id, "RANK_SIZE": f"{rank_size}"})
        FMK.set_env_if_not_exist(current_envs, "DEVICE_ID", self.device_id)

        process_log_path = f"{FMK.get_log_dir()}/{self.job_id}/ascend/process_log/rank_{self.rank_id}"
        FMK.set_env_if_not_exist(current_envs, "ASCEND_PROCESS_LOG_PATH", process_log_path)
        os.makedirs(current_envs["ASCEND_PROCESS_LOG_PATH"], exist_ok=True)
        return current_envs

    @staticmethod
    def get_log_dir() -> str:
        parent = ModelArts.get_parent_log_dir()
        return parent if os.path.exists(parent) else ModelArts.TMP_LOG_DIR

    @staticmethod
    def set_env_if_not_exist(envs: Dict[str, str], env_name: str, env_value: str) -> None:
        if env_name not in os.environ:
            envs[env_name] = env_value

    def run(self, rank_size: int, command: List[str]) -> subprocess.Popen:
        envs = self.gen_env_for_fmk(rank_size)
        FMK.log.info(f"bootstrap proc-rank-{self.rank_id}-device-{self.device_id}")
        return subprocess.Popen(command, env=envs, preexec_fn=os.setsid, stdout=subprocess.PIPE)


class FMKManager:
    MAX_TEST_PROC_CNT = 10

    def __init__(self, instance):
        self.fmks = [FMK(index, device) for index, device in enumerate(instance.devices)]
        self.procs = []

    def run(self, rank_size: int, command: List[str]) -> None:
        for fmk in self.fmks:
            self.procs.append(fmk.run(rank_size, command))

    def monitor(self, period: float = 1) -> int:
        while any(proc.poll() is None for proc in self.procs):
            time.sleep(period)
        return max(proc.returncode for proc in self.procs)
