# Look-alike, written for these tests, of the relative on PyPI: CR LF throughout, other imports, the process log in a
# helper that gets current_envs, and two `with` in one method.
import os
import pathlib
import subprocess
from contextlib import contextmanager

from kit.common import ModelArts
from kit.common import RunAscendLog


class FMK:
    log = RunAscendLog.get_run_ascend_logger()

    def __init__(self, index, device):
        self.job_id = ModelArts.get_job_id()
        self.rank_id = device.rank_id
        self.device_id = str(index)

    def gen_env_for_fmk(self, rank_size):
        current_envs = os.environ.copy()

        current_envs["JOB_ID"] = self.job_id
        current_envs["RANK_ID"] = self.rank_id
        current_envs["RANK_SIZE"] = str(rank_size)

        FMK.set_env_if_not_exist(current_envs, "DEVICE_ID", self.device_id)
        FMK.set_env_if_not_exist(current_envs, "ASCEND_DEVICE_ID", self.device_id)

        self.set_log_path_for_cann(current_envs)

        return current_envs

    def set_log_path_for_cann(self, envs):
        log_dir = FMK.get_log_dir()
        process_log_path = os.path.join(log_dir, self.job_id, "ascend", "process_log", "rank_" + self.rank_id)
        FMK.set_env_if_not_exist(envs, "ASCEND_PROCESS_LOG_PATH", process_log_path)
        pathlib.Path(envs["ASCEND_PROCESS_LOG_PATH"]).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def switch_directory(self, directory):
        owd = os.getcwd()
        try:
            os.chdir(directory)
            yield directory
        finally:
            os.chdir(owd)

    def get_working_dir(self):
        parent = ModelArts.get_parent_working_dir()
        return os.path.join(os.path.normpath(parent), "device%s" % self.device_id)

    @staticmethod
    def get_log_dir():
        parent = ModelArts.get_parent_log_dir()
        if os.path.exists(parent):
            return parent
        return ModelArts.TMP_LOG_DIR

    @staticmethod
    def set_env_if_not_exist(envs, env_name, env_value):
        if env_name in os.environ:
            FMK.log.info("env already exists. env_name: %s" % env_name)
            return

        envs[env_name] = env_value

    def run(self, rank_size, command, log_to_file=True):
        envs = self.gen_env_for_fmk(rank_size)
        log_file = os.path.join(FMK.get_log_dir(), "rank-%s.txt" % self.rank_id)
        for folder in (self.get_working_dir(), FMK.get_log_dir()):
            os.makedirs(folder, exist_ok=True)

        if not log_to_file:
            with self.switch_directory(self.get_working_dir()):
                return subprocess.Popen(command, env=envs, preexec_fn=os.setsid, stdout=subprocess.PIPE)

        # Mind the second one.
        with self.switch_directory(self.get_working_dir()):
            training_proc = subprocess.Popen(command, env=envs, preexec_fn=os.setsid,
                                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            subprocess.Popen(["tee", log_file], stdin=training_proc.stdout)
            return training_proc
