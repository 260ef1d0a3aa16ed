# A stand-in for the module that the shapes import: as much of it as they use.
import logging
import os


class ModelArts:
    TMP_LOG_DIR = '/tmp/log'

    @staticmethod
    def get_job_id():
        return os.environ['MA_VJ_NAME'].replace('ma-job', 'modelarts-job')

    @staticmethod
    def get_parent_working_dir():
        return os.path.join(os.environ['MA_MOUNT_PATH'], 'workspace')

    @staticmethod
    def get_parent_log_dir():
        return os.path.join(os.environ['MA_MOUNT_PATH'], 'log')


class RunAscendLog:
    @staticmethod
    def get_run_ascend_logger():
        return logging.getLogger('ascend')
